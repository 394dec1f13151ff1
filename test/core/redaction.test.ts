import { test } from 'tap'
import { redact, redactText } from '../../src/core/redaction.ts'

test('passwords in URLs are hidden, the rest stays', (t) => {
  const cases: readonly (readonly [string, string])[] = [
    ['amqp://user:pass@host:5672/v', 'amqp://user:***@host:5672/v'],
    ['connect to amqps://u:p%40ss@h failed', 'connect to amqps://u:***@h failed'],
    ['mqtt://:secret@h', 'mqtt://:***@h'],
    ['amqp://u:p@ss@h', 'amqp://u:***@h'],
    ['amqp://u:p/a@h', 'amqp://u:***@h'],
    ['http://127.0.0.1:8080/a', 'http://127.0.0.1:8080/a'],
    ['amqp://user@host', 'amqp://user@host'],
    ['Authorization: Bearer abcdefgh12345', 'Authorization: Bearer ***'],
    ['nothing to hide: a@b', 'nothing to hide: a@b'],
  ]
  for (const [text, expected] of cases) t.equal(redactText(text), expected)
  t.end()
})

test('a long hostile text is answered quickly', (t) => {
  const startedMs = performance.now()
  redactText('a://b:'.repeat(20_000))
  redactText(`${'a'.repeat(200_000)}://`)
  t.ok(performance.now() - startedMs < 2_000)
  t.end()
})

test('values under secret keys are hidden at every depth, and what is too deep is left out', (t) => {
  const cyclic: Record<string, unknown> = { token: 'x' }
  cyclic['self'] = cyclic
  t.strictSame(
    redact({ password: 'x', list: [{ apiToken: 'x', count: 1 }], url: 'a://b:c@d', none: null, secret: 5 }),
    {
      password: '***',
      list: [{ apiToken: '***', count: 1 }],
      url: 'a://b:***@d',
      none: null,
      secret: 5,
    },
  )
  t.match(JSON.stringify(redact(cyclic)), /…/)
  t.end()
})
