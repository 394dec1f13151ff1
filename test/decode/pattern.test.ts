import fc from 'fast-check'
import { test } from 'tap'
import { compilePattern } from '../../src/decode/pattern.ts'

const RUNS = Number(process.env['TIDEGATE_FUZZ_RUNS'] ?? 3_000)

/** [start, end, named groups], or nothing: by us, and by JavaScript. */
const ours = (pattern: string, text: string, ignoreCase = false) => {
  const match = compilePattern(pattern, ignoreCase).match(text, 0)
  return match === undefined ? undefined : [match.start, match.end, Object.fromEntries(match.groups)]
}
const theirs = (pattern: string, text: string, ignoreCase = false) => {
  const match = new RegExp(pattern, ignoreCase ? 'i' : '').exec(text)
  if (match === null) return undefined
  const groups = Object.entries(match.groups ?? {}).filter(([, value]) => value !== undefined)
  return [match.index, match.index + match[0].length, Object.fromEntries(groups)]
}

test('patterns as authors write them match what JavaScript says', async (t) => {
  const cases: readonly (readonly [pattern: string, text: string])[] = [
    ['T=(?<t>[-+]?\\d+(?:\\.\\d+)?)\\s*C\\b', 'H=40 T=-21.5 C;'],
    ['^(?<a>\\w+)[ :]+(?<b>.*?)\\s*$', 'state:  on air '],
    ['(?<x>a|ab)(?<y>c|bcd)(?<z>d*)', 'abcd'],
    ['(?:(?<a>x)|(?<b>y))*', 'xyxy'],
    ['(?<a>a{2,3}?)a', 'aaaa'],
    ['(?<a>[^,\\]]*),(?<b>[\\d-a.]+)', 'q],-1.a'],
    ['\\x41\\u0042(?<r>[\\x30-\\x39\\-]{0,2})', 'zAB1-9'],
    ['\\B(?<m>b)\\b', 'ab b'],
    ['(?<e>)', 'x'],
    ['(?<n>$)', 'x'],
    ['[^](?<k>[\\s\\S])', 'a\nb'],
  ]
  for (const [pattern, text] of cases) t.strictSame(ours(pattern, text), theirs(pattern, text), pattern)
  t.strictSame(ours('(?<u>STRASSE|[a-c]+)', 'Abc', true), theirs('(?<u>STRASSE|[a-c]+)', 'Abc', true))
})

test('arbitrary patterns match what JavaScript says', async (t) => {
  const atom = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '\\w', '\\b', '^', '$', '(?:ab)', 'ab|b')
  const quantifier = fc.constantFrom('', '', '', '?', '{2}', '{1,3}', '??', '{0,2}?')
  const loop = fc.constantFrom('', '*', '+', '*?', '+?')
  const part = fc.tuple(atom, quantifier).map(([a, q]) => (/^(?:\\b|\^|\$|ab\|b)$/.test(a) ? a : a + q))
  // The body of a loop begins with a character, since turns that take nothing are where engines differ.
  const pattern = fc
    .tuple(fc.array(part, { maxLength: 4 }), fc.array(part, { maxLength: 2 }), loop, fc.array(part, { maxLength: 2 }))
    .map(
      ([head, body, turns, tail]) =>
        `${head.join('')}(?<g>(?:a|b(?<h>a?)${body.join('')})${turns})(?<i>${tail.join('')})`,
    )
  fc.assert(
    fc.property(pattern, fc.string({ unit: fc.constantFrom('a', 'b', ' '), maxLength: 8 }), (source, text) => {
      const [own, native] = [JSON.stringify(ours(source, text)), JSON.stringify(theirs(source, text))]
      if (own !== native) throw new Error(`${source} on '${text}': ${own} instead of ${native}`)
    }),
    { numRuns: RUNS },
  )
  t.pass()
})

test('patterns that take a backtracking engine for ever take a moment', async (t) => {
  const text = `${'a'.repeat(4_000)}!`
  for (const pattern of [
    '^(?<x>(a+)+)$',
    '^(?<x>(a|a)*)$',
    '^(?<x>(a*)*)$',
    '(?<x>.*.*.*.*=)',
    '^(?<x>(?:a?){50}a{50})$',
  ]) {
    const started = performance.now()
    compilePattern(pattern, false).match(text, 0)
    t.ok(performance.now() - started < 2_000, pattern)
  }
})

test('what is no pattern, or none that is supported, is refused with a reason', async (t) => {
  const cases: Readonly<Record<string, RegExp>> = {
    '(?<a>x': /lacks a \)/,
    'x)': /a \) too many/,
    '[a': /ends too early/,
    '*a': /repeats nothing/,
    'a**': /repeats nothing/,
    '(?=a)': /looks ahead or behind/,
    '(?<!a)b': /looks ahead or behind/,
    '(a)\\1': /refers back/,
    '(?<a>.)(?<a>.)': /two groups a/,
    '(?<1>.)': /without a valid name/,
    '(?i)a': /unknown group/,
    'a{3,2}': /cannot repeat/,
    'a{5000}': /cannot repeat/,
    '((a{100}){100}){100}': /too large/,
    '[z-a]': /range is empty/,
    '\\q': /unknown \\q/,
    '\\x4': /needs 2 digits/,
    [`${'('.repeat(60)}a${')'.repeat(60)}`]: /nested deeper/,
  }
  for (const [pattern, message] of Object.entries(cases))
    t.throws(() => compilePattern(pattern, false), message, pattern)
})
