// Running a program under strace: counting its system calls, and interfering with the n-th of a kind. The program is one
// bundle without node_modules, so that a start costs little and no call but its own is met.

import { execFile, spawn, spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { temporaryDirectory } from './directory.ts'
import { plainEnvironment } from './gateway.ts'

/** A run that hangs is a failure, and is ended. */
const RUN_DEADLINE_MS = 60_000

export const STRACE = '/usr/bin/strace'

/** strace counts the calls of each thread by itself: node makes those of files in one. */
const environment = (): NodeJS.ProcessEnv => plainEnvironment({ UV_THREADPOOL_SIZE: '1' })

export interface Ran {
  readonly code: number | null
  readonly signal: string | null
  readonly lines: readonly string[]
  /** Standard error, strace's own words included. */
  readonly errors: string
}

/** Why programs cannot be traced here, for a test's `skip`; false when they can. A missing package is no excuse in CI. */
export const straceMissing = (): string | false => {
  if (!existsSync(STRACE)) return process.env['CI'] === 'true' ? false : 'needs strace, not installed'
  return spawnSync(STRACE, ['-f', '-qq', '-e', 'trace=none', 'true']).status === 0
    ? false
    : 'needs ptrace, which this machine does not allow'
}

/** A support program as one file that node runs without anything else. */
export const bundled = async (t: { teardown: (work: () => Promise<void>) => void }, program: URL): Promise<string> => {
  const outfile = join(await temporaryDirectory(t), 'program.mjs')
  await build({ entryPoints: [fileURLToPath(program)], outfile, bundle: true, platform: 'node', format: 'esm' })
  return outfile
}

/** Runs the program; `inject` is strace's own notation, e.g. `fdatasync:error=EIO:when=3`. */
export const runTraced = (program: string, parameters: readonly string[], inject?: string): Promise<Ran> => {
  // Not with --seccomp-bpf: strace 6.1 counts wrongly then.
  const [call = 'none'] = inject?.split(':') ?? []
  const tracing =
    inject === undefined ? [] : ['-f', '-qq', '-o', '/dev/null', '-e', `trace=${call}`, '-e', `inject=${inject}`]
  const [command = '', ...rest] = [
    ...(inject === undefined ? [] : [STRACE, ...tracing]),
    process.execPath,
    program,
    ...parameters,
  ]
  return new Promise((resolve, reject) => {
    const child = spawn(command, rest, { env: environment(), stdio: ['ignore', 'pipe', 'pipe'] })
    const late = setTimeout(() => child.kill('SIGKILL'), RUN_DEADLINE_MS)
    let output = ''
    let errors = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      errors += text
    })
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(late)
      // What stands behind the last line end was cut.
      resolve({ code, signal, lines: output.split('\n').slice(0, -1), errors })
    })
  })
}

/** How often the program makes each of these calls. */
export const countCalls = async (
  t: { teardown: (work: () => Promise<void>) => void },
  program: string,
  parameters: readonly string[],
  calls: readonly string[],
): Promise<ReadonlyMap<string, number>> => {
  const trace = join(await temporaryDirectory(t), 'trace')
  const tracing = ['-f', '-qq', '-o', trace, '-e', `trace=${calls.join()}`]
  await promisify(execFile)(STRACE, [...tracing, process.execPath, program, ...parameters], {
    env: environment(),
  })
  const counts = new Map(calls.map((call) => [call, 0]))
  for (const line of (await readFile(trace, 'utf8')).split('\n')) {
    // A call that another thread interrupts stands on two lines, of which one begins with the name.
    const call = /^\d+ +([a-z0-9_]+)\(/.exec(line)?.[1]
    if (call !== undefined && counts.has(call)) counts.set(call, (counts.get(call) ?? 0) + 1)
  }
  return counts
}
