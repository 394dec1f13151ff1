// tidegate devices: lists the device profiles, runs their examples, and drafts a new one.

import { mergeProfiles, readProfileFiles } from '../config/device-profiles.ts'
import type { DeviceProfile } from '../core/profile.ts'
import { type ExampleResult, runExamples } from '../decode/examples.ts'
import { createRouter } from '../decode/router.ts'
import { parseArguments } from './arguments.ts'
import { configOption, configUsage } from './configuration.ts'
import { suggestDevice } from './devices-suggest.ts'
import { printable, table } from './format.ts'
import type { Io } from './io.ts'
import { configuredDecoding, type Decoding } from './known-profiles.ts'
import { UsageError, type Verb } from './verb.ts'

const usage = `Usage: tidegate devices list [options]
       tidegate devices test [FILE...] [options]
       tidegate devices suggest --topic FILTER [--name NAME] [--out FILE] [options]

list     the device profiles that are known: the built-in ones and those of gateway.devices
test     runs the examples of the profiles, or of the profiles in the named files only;
         the exit code is 1 if one fails
suggest  a draft of a profile, from the newest messages on the topic that the log holds

  --json              print JSON
  --topic FILTER      suggest: an MQTT Topic Filter; its first + is taken for the device
  --name NAME         suggest: the profile's name
  --out FILE          suggest: write it there instead of to standard output
  --data DIR          suggest: this data directory, instead of the configured gateway.data
${configUsage}
  -h, --help          this text`

const options = {
  ...configOption,
  json: { type: 'boolean', default: false },
  topic: { type: 'string' },
  name: { type: 'string' },
  out: { type: 'string' },
  data: { type: 'string' },
} as const

export const verb: Verb = {
  name: 'devices',
  summary: 'list the device profiles, run their examples, draft a new one',
  usage,
  async run(args, io) {
    const { values, positionals } = parseArguments(args, options, Number.POSITIVE_INFINITY)
    const [action, ...files] = positionals
    if (action !== 'list' && action !== 'test' && action !== 'suggest')
      throw new UsageError(
        action === undefined ? 'say list, test or suggest' : `'${action}' is no list, test or suggest`,
      )
    if (action === 'suggest') {
      if (files[0] !== undefined) throw new UsageError(`unexpected argument '${files[0]}'`)
      return suggestDevice(values, io)
    }
    const known = await configuredDecoding(values.config, io)
    const { profiles } = known
    if (action === 'test') return test(known, files, values.json, io)
    if (files[0] !== undefined) throw new UsageError(`unexpected argument '${files[0]}'`)
    list(profiles, values.json, io)
    return 0
  },
}

const list = (profiles: readonly DeviceProfile[], json: boolean, io: Io): void => {
  if (json) {
    const shown = profiles.map(({ name, title, source, file, rules, examples }) => {
      return { name, title, source, file, topics: rules.flatMap(({ topics }) => topics), examples: examples.length }
    })
    io.stdout.write(`${JSON.stringify(shown)}\n`)
    return
  }
  const rows = profiles.map(({ name, title, rules, examples, file }) => {
    return [name, title, String(rules.flatMap(({ topics }) => topics).length), String(examples.length), file]
  })
  const head = ['NAME', 'TITLE', 'TOPICS', 'EXAMPLES', 'FILE']
  io.stdout.write(`${table([head, ...rows.map((row) => row.map(printable))])}\n`)
}

const test = async (known: Decoding, files: readonly string[], json: boolean, io: Io): Promise<number> => {
  const own = await readProfileFiles(files, [...known.decoders.values()])
  if (own.problems.length > 0) {
    // The files are what is tested: an invalid one is a failed test, not a configuration that cannot be used.
    io.stderr.write(`${own.problems.map(printable).join('\n')}\n`)
    return 1
  }
  const { profiles } = mergeProfiles([{ profiles: known.profiles, problems: [] }, own])
  const router = createRouter(profiles, known)
  const results = (files.length === 0 ? profiles : own.profiles).map((profile) => ({
    profile,
    results: runExamples(profile, router),
  }))
  const failed = results.flatMap(({ results: each }) => each).filter(({ faults }) => faults.length > 0)
  io.stdout.write(json ? `${JSON.stringify(results.map(asJson))}\n` : asText(results, failed))
  return failed.length === 0 ? 0 : 1
}

interface ProfileResult {
  readonly profile: DeviceProfile
  readonly results: readonly ExampleResult[]
}

const asJson = ({ profile, results }: ProfileResult) => ({
  name: profile.name,
  file: profile.file,
  examples: results.length,
  failed: results
    .filter(({ faults }) => faults.length > 0)
    .map(({ number, topic, faults }) => ({ number, topic, faults })),
})

const asText = (results: readonly ProfileResult[], failed: readonly ExampleResult[]): string => {
  const rows = results.map(({ profile, results: each }) => {
    const bad = each.filter(({ faults }) => faults.length > 0).length
    return [profile.name, `${each.length} examples`, bad === 0 ? 'ok' : `${bad} failed`]
  })
  const details = failed.map(({ profile, number, topic, faults }) =>
    [`${profile}, example ${number}, topic ${topic}`, ...faults.map((fault) => `  ${fault}`)].map(printable).join('\n'),
  )
  const count = results.reduce((sum, { results: each }) => sum + each.length, 0)
  return `${[table(rows), ...details, `${count} examples, ${failed.length} failed`].join('\n')}\n`
}
