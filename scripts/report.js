// Reads tap's raw output on standard input and prints what a person wants to know: one line per test file as it ends,
// every failure in full, every skip with its reason. With a file name as argument, tap's own figures go there as JSON.

import { writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

const figuresFile = process.argv[2]
/** More of one failure is in .tap/test-results. */
const MAX_FAILURE_LINES = 200

/** Titles of the tests around the present line; the index is the depth of indentation. */
const titles = []
let figures = {}
let fileLines = []
let skips = []
/** Depth of the last failure: what contains it fails too, and need not say so again. */
let failureDepth = -1
/** Lines that belong to the failure just met: its diagnostics, indented more than it is. */
let diagnosticsIndent = -1

const point = /^( *)(ok|not ok) \d+(?: - (.*?))?( \{)?$/

for await (const line of createInterface({ input: process.stdin })) {
  const figuresFound = /^# (\{ .*\})$/.exec(line)
  if (figuresFound) {
    figures = Object.fromEntries(
      [...figuresFound[1].matchAll(/(\w+): (\d+)/g)].map(([, name, count]) => [name, Number(count)]),
    )
    continue
  }
  const indent = line.length - line.trimStart().length
  const subtest = /^ *# Subtest: (.*)$/.exec(line)
  if (subtest) {
    titles.length = indent / 4
    titles[indent / 4] = subtest[1]
    diagnosticsIndent = -1
    continue
  }
  const found = point.exec(line)
  if (found) {
    diagnosticsIndent = -1
    const failed = found[2] === 'not ok' && !/ # todo\b/i.test(line)
    const title = (found[3] ?? '').replace(/ # time=[\d.]+m?s$/, '').replaceAll('\\#', '#')
    const depth = indent / 4
    titles.length = depth
    const skip = / # SKIP\b ?(.*)$/i.exec(title)
    if (skip)
      skips.push(
        `  skipped: ${[...titles.slice(1), title.slice(0, skip.index)].join(' › ')} (${skip[1] || 'no reason given'})`,
      )
    const contains = failureDepth > depth
    if (failed) failureDepth = depth
    if (failed && !contains) {
      fileLines.push(`  not ok: ${[...titles.slice(1), title].join(' › ')}`)
      diagnosticsIndent = indent + 2
    }
    if (depth === 0) {
      const time = / # time=([\d.]+m?s)$/.exec(found[3] ?? '')?.[1] ?? ''
      console.log(`${failed ? 'FAILED' : 'ok    '}  ${title}  ${time}`)
      for (const text of [...fileLines.slice(0, MAX_FAILURE_LINES), ...skips]) console.log(text)
      if (fileLines.length > MAX_FAILURE_LINES) console.log('  … more in .tap/test-results')
      fileLines = []
      skips = []
      failureDepth = -1
    }
    continue
  }
  if (diagnosticsIndent >= 0 && (indent >= diagnosticsIndent || line.trim() === '')) {
    fileLines.push(`    ${line.slice(diagnosticsIndent)}`)
    continue
  }
  if (/^ *# (?!time=|Subtest|No coverage|failed \d|\{)/.test(line)) fileLines.push(`    ${line.trim()}`)
  if (/^Bail out!/.test(line)) console.log(line)
}

if (figuresFile !== undefined) writeFileSync(figuresFile, JSON.stringify(figures))
