// tidegate log: looks into the data directory, also while the gateway runs, and changes nothing in it.

import { nearest } from '../config/nearest.ts'
import type { Io } from './io.ts'
import { exportLog, exportUsage } from './log-export.ts'
import { infoUsage, logInfo } from './log-info.ts'
import { verifyLog, verifyUsage } from './log-verify.ts'
import { UsageError, type Verb } from './verb.ts'

interface Subcommand {
  readonly usage: string
  readonly run: (args: readonly string[], io: Io) => Promise<number>
}

const SUBCOMMANDS: ReadonlyMap<string, Subcommand> = new Map([
  ['info', { usage: infoUsage, run: logInfo }],
  ['verify', { usage: verifyUsage, run: verifyLog }],
  ['export', { usage: exportUsage, run: exportLog }],
])

export const verb: Verb = {
  name: 'log',
  summary: 'look into the data directory',
  usage: [...SUBCOMMANDS.values()].map(({ usage }) => usage).join('\n\n'),
  async run(given, io) {
    const known = [...SUBCOMMANDS.keys()]
    // Options may stand before it.
    const place = Math.max(0, given[0]?.startsWith('-') ? given.findIndex((word) => known.includes(word)) : 0)
    const name = given[place]
    const args = given.toSpliced(place, 1)
    if (name === undefined) throw new UsageError(`say what to do: ${known.join(', ')}`)
    const subcommand = SUBCOMMANDS.get(name)
    if (subcommand !== undefined) return subcommand.run(args, io)
    const meant = nearest(name, known)
    throw new UsageError(`unknown subcommand '${name}'${meant === undefined ? '' : `; did you mean '${meant}'?`}`)
  },
}
