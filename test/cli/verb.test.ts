import { test } from 'tap'
import { parseArguments, parseWholeNumber } from '../../src/cli/arguments.ts'
import { runVerb, UsageError, type Verb } from '../../src/cli/verb.ts'
import { verbs } from '../../src/cli/verbs.ts'
import { ConfigError } from '../../src/config/config.ts'
import { TidegateError } from '../../src/core/errors.ts'
import { capturedIo } from '../support/captured-io.ts'

const verbThat = (run: Verb['run']): Verb => ({ name: 'try', summary: 'x', usage: 'Usage: tidegate try', run })

const outcome = async (run: Verb['run'], ...args: readonly string[]) => {
  const io = capturedIo()
  const code = await runVerb(verbThat(run), args, io)
  return { code, out: io.out(), err: io.err() }
}

const throwing = (error: unknown) => () => Promise.reject(error)

test('the exit code is the verb’s own when it ends well', async (t) => {
  t.strictSame(await outcome(async () => 1), { code: 1, out: '', err: '' })
})

test('--help is answered before anything else happens', async (t) => {
  const never = () => t.fail('the verb ran')
  t.strictSame(await outcome(async () => Number(never()), 'x', '-h'), {
    code: 0,
    out: 'Usage: tidegate try\n',
    err: '',
  })
  t.equal((await outcome(async (args) => args.length, '--', '--help')).code, 2, 'behind -- it is an argument')
})

test('wrong usage is exit code 2 and points to the help', async (t) => {
  t.strictSame(await outcome(throwing(new UsageError('unexpected argument'))), {
    code: 2,
    out: '',
    err: "tidegate try: unexpected argument\nSee 'tidegate try --help'.\n",
  })
})

test('an operating error is exit code 1, in one line with what to do', async (t) => {
  const cause = new Error('connect to amqp://u:hunter2@h failed')
  const { code, err } = await outcome(throwing(new TidegateError('TG_UPSTREAM_UNREACHABLE', 'no upstream', { cause })))
  t.equal(code, 1)
  t.match(
    err,
    /^tidegate: no upstream: connect to amqp:\/\/u:\*\*\*@h failed; check the url.*\(TG_UPSTREAM_UNREACHABLE\)\n$/,
  )
})

test('an invalid configuration is exit code 2, one problem a line', async (t) => {
  const error = new ConfigError('a.yaml', [
    { line: 2, column: 1, message: 'second' },
    { line: 1, column: 5, message: 'first' },
  ])
  t.strictSame(await outcome(throwing(error)), { code: 2, out: '', err: 'a.yaml:1:5: first\na.yaml:2:1: second\n' })
  t.equal((await outcome(throwing(new TidegateError('TG_CONFIG_MISSING', 'x')))).code, 2)
})

test('what is no operating error is a fault and goes on to the process', async (t) => {
  await t.rejects(outcome(throwing(new TypeError('x is not a function'))), TypeError)
})

test('a verb that ends because of the signal ended well', async (t) => {
  const controller = new AbortController()
  controller.abort(new Error('SIGINT received'))
  const io = { ...capturedIo(), signal: controller.signal }
  t.equal(await runVerb(verbThat(throwing(controller.signal.reason)), [], io), 0)
})

test('arguments are checked, and the nearest option is named', (t) => {
  const parse = (...args: readonly string[]) =>
    parseArguments(args, { config: { type: 'string' }, json: { type: 'boolean' } } as const, 1)
  t.strictSame({ ...parse('--config', 'a', 'info').values }, { config: 'a' })
  const wrong: readonly (readonly [readonly string[], RegExp])[] = [
    [['--confg', 'x'], /unknown option '--confg'; did you mean --config\?/],
    [['--quite-different'], /^unknown option '--quite-different'$/],
    [['-x'], /unknown option '-x'/],
    [['--config'], /--config/],
    [['--json=yes'], /--json/],
    [['info', 'more'], /unexpected argument 'more'/],
  ]
  for (const [args, message] of wrong) t.throws(() => parse(...args), { name: 'UsageError', message })
  t.equal(parseWholeNumber('--after', '12', 0, 100), 12)
  for (const text of ['-1', '101', '1.5', '', 'x', '9'.repeat(20)])
    t.throws(() => parseWholeNumber('--after', text, 0, 100), { name: 'UsageError', message: /--after must be/ })
  t.end()
})

test('every verb of the table says the same about itself and has a usage text', async (t) => {
  for (const { name, summary, load } of verbs) {
    const verb = await load()
    t.equal(verb.name, name)
    t.equal(verb.summary, summary, name)
    t.match(verb.usage, new RegExp(`^Usage: tidegate ${name}\\b`))
    t.match(verb.usage, /-h, --help/)
    t.notMatch(verb.usage, /\n$/)
    t.ok(
      verb.usage.split('\n').every((line) => line.length <= 100),
      `${name}: fits a terminal`,
    )
  }
})
