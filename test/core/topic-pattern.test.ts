import { test } from 'tap'
import { compileTopicPattern, expandTemplate, topicPatternFault } from '../../src/core/topic-pattern.ts'

const captures = (pattern: string, topic: string) => {
  const match = compileTopicPattern(pattern).match(topic)
  return match === undefined ? undefined : Object.fromEntries(match)
}

test('captures take one level, many levels or a part of a level', async (t) => {
  t.strictSame(captures('tele/{device}/SENSOR', 'tele/plug/SENSOR'), { device: 'plug' })
  t.equal(captures('tele/{device}/SENSOR', 'tele/a/b/SENSOR'), undefined)
  t.equal(captures('tele/{device}/SENSOR', 'tele//SENSOR'), undefined)
  t.strictSame(captures('tele/{device...}/SENSOR', 'tele/a/b/SENSOR'), { device: 'a/b' })
  t.equal(captures('tele/{device...}/SENSOR', 'tele/SENSOR'), undefined)
  t.strictSame(captures('{d...}/status/{type}:{id}', 'a/b/status/switch:0'), { d: 'a/b', type: 'switch', id: '0' })
  t.strictSame(captures('stat/{d}/POWER{n}', 'stat/x/POWER'), { d: 'x', n: '' })
  t.equal(captures('stat/{d}/POWER{n}', 'stat/x/POWE'), undefined)
})

test('+ and # are those of MQTT', async (t) => {
  t.strictSame(captures('a/+/c', 'a/b/c'), {})
  t.strictSame(captures('a/+/c', 'a//c'), {})
  t.strictSame(captures('a/#', 'a'), {})
  t.strictSame(captures('a/#', 'a/b/c'), {})
  t.equal(captures('a/#', 'ab'), undefined)
  t.strictSame(captures('#', 'a/b'), {})
  t.equal(captures('#', '$SYS/x'), undefined)
  t.equal(captures('{x...}', '$SYS/x'), undefined)
  t.strictSame(captures('$SYS/{x}', '$SYS/x'), { x: 'x' })
})

test('text in a pattern is text', async (t) => {
  t.strictSame(captures('a.b/(c)/[d]^$|\\', 'a.b/(c)/[d]^$|\\'), {})
  t.equal(captures('a.b', 'axb'), undefined)
})

test('what is no pattern is refused with the reason', async (t) => {
  const cases: Readonly<Record<string, RegExp>> = {
    '': /is empty/,
    'a/#/b': /before its last level/,
    'a/b#': /misplaced/,
    'a/{x': /misplaced/,
    'a/{X}': /misplaced/,
    'a/{x}{y}': /two captures/,
    'a/{x}/{x}': /twice/,
    'a/b{x...}': /mixes/,
    '{x...}/{y...}': /more than one/,
    '{x...}/#': /more than one/,
    [`a/${'b'.repeat(600)}`]: /longer than/,
  }
  for (const [pattern, message] of Object.entries(cases)) {
    t.match(topicPatternFault(pattern), message, pattern)
    t.throws(() => compileTopicPattern(pattern), { code: 'TG_PROFILE_INVALID' })
  }
})

test('a hostile topic is matched in linear time', async (t) => {
  const pattern = compileTopicPattern('{d...}/status/{type}:{id}')
  const started = performance.now()
  for (const part of ['/status/x', '/status/', ':', '/'])
    t.equal(pattern.match(part.repeat(Math.floor(65_535 / part.length))), undefined)
  t.ok(performance.now() - started < 500)
})

test('templates put captures in place and leave other names alone', async (t) => {
  const found = new Map([
    ['a', '1'],
    ['b', '$&'],
  ])
  t.equal(expandTemplate('x/{a}/{b}/{path}', found), 'x/1/$&/{path}')
  t.equal(expandTemplate('plain', found), 'plain')
})
