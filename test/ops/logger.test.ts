import { fstatSync } from 'node:fs'
import { test } from 'tap'
import { TidegateError } from '../../src/core/errors.ts'
import { createLogger, isJournal, parseLogLevel, stderrFormat } from '../../src/ops/logger.ts'

const capture = (format: 'json' | 'journal' | 'pretty', level: 'trace' | 'info' = 'info') => {
  const lines: string[] = []
  return { lines, logger: createLogger({ level, format, write: (line) => void lines.push(line) }) }
}

test('a line of JSON carries level, time, fields and message, and ends', (t) => {
  const { lines, logger } = capture('json')
  logger.child({ part: 'log' }).info({ segments: 3 }, 'log opened')
  const [line = ''] = lines
  t.ok(line.endsWith('\n'))
  t.match(JSON.parse(line), { level: 'info', part: 'log', segments: 3, msg: 'log opened', time: /^\d{4}-.*Z$/ })
  t.notOk('pid' in JSON.parse(line))
  t.end()
})

test('lines below the level are not written', (t) => {
  const { lines, logger } = capture('json')
  logger.debug({}, 'not this')
  logger.trace({}, 'nor this')
  t.strictSame(lines, [])
  t.end()
})

test('under journald each line begins with its priority', (t) => {
  const { lines, logger } = capture('journal', 'trace')
  const child = logger.child({ part: 'x' })
  logger.trace({}, 'a')
  logger.debug({}, 'b')
  child.info({}, 'c')
  child.warn({}, 'd')
  logger.error({}, 'e')
  t.strictSame(
    lines.map((line) => line.slice(0, 4)),
    ['<7>{', '<7>{', '<6>{', '<4>{', '<3>{'],
  )
  t.end()
})

test('on a terminal a line is readable and takes the place of an unfinished status line', (t) => {
  const { lines, logger } = capture('pretty')
  logger.warn({ sink: 'cloud' }, 'upstream lost')
  t.equal(lines.length, 1)
  t.ok(lines[0]?.startsWith('\r\u001b[K'))
  t.match(lines[0], /WARN.*upstream lost.*cloud/s)
  t.notMatch(lines[0]?.trimEnd(), '\n')
  t.end()
})

test('secrets do not pass, wherever they are', (t) => {
  const { lines, logger } = capture('json')
  const cause = new Error('connect to amqp://gateway:hunter2@host failed')
  logger.child({ target: 'mqtt://u:hunter2@h' }).error(
    {
      error: new TidegateError('TG_UPSTREAM_UNREACHABLE', 'no upstream', { cause }),
      fault: cause,
      url: 'amqps://u:hunter2@h/v',
      settings: { password: 'hunter2', nested: [{ token: 'hunter2', clientSecret: 'hunter2' }] },
      header: 'Bearer hunter2hunter2',
      password: 'hunter2',
    },
    'something failed',
  )
  t.notMatch(lines.join(), /hunter2/)
  t.match(JSON.parse(lines[0] ?? ''), {
    error: { code: 'TG_UPSTREAM_UNREACHABLE', message: /amqp:\/\/gateway:\*\*\*@host/, remedy: String },
    fault: { stack: String },
    settings: { password: '***' },
  })
  t.end()
})

test('the format follows the terminal and the journal', (t) => {
  const { dev, ino } = fstatSync(2, { bigint: true })
  t.equal(stderrFormat({}, true), 'pretty')
  t.equal(stderrFormat({}, false), 'json')
  t.equal(stderrFormat({ JOURNAL_STREAM: '1:2' }, false), 'json', 'the journal reads another stream')
  t.equal(stderrFormat({ JOURNAL_STREAM: `${dev}:${ino}` }, false), 'journal')
  t.equal(isJournal('1:2', 9_999), false, 'a closed descriptor is not the journal')
  t.equal(parseLogLevel('debug'), 'debug')
  t.equal(parseLogLevel('loud'), undefined)
  t.end()
})
