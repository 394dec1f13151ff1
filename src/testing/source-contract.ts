// The contract of a source: it starts and closes in any state, delivers what it is fed and only between the two, and goes on
// when the log refuses a message.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Source } from '../core/contract.ts'
import type { SourcePlugin } from '../core/plugin-contract.ts'
import { topicNameFault } from '../core/topic.ts'
import { type Check, type ContractCheck, runChecks, settlesSoon, soon } from './check.ts'
import { acceptedConfig, checkHealth, checkShape, PLUGIN_NAME, testSourceContext } from './context.ts'
import { TestIntake } from './intake.ts'

export interface SourceSubject {
  readonly config: object
  /** Makes a started source receive at least one message, from a device or a broker that the test plays. */
  feed(source: Source): Promise<void>
}

/** Long enough for a message that is on its way to arrive after all. */
const GRACE_MS = 100

/** Checks that a source keeps what core/contract.ts promises of it. */
export const testSource = async (plugin: SourcePlugin, subject: SourceSubject, check: Check): Promise<void> => {
  const directory = await mkdtemp(join(tmpdir(), 'tidegate-contract-'))
  try {
    await runChecks(sourceChecks(plugin, subject, directory), check)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

const sourceChecks = (plugin: SourcePlugin, subject: SourceSubject, directory: string): readonly ContractCheck[] => {
  const create = () => plugin.create(acceptedConfig(plugin, subject.config), testSourceContext(directory))
  const within = async (work: (source: Source, intake: TestIntake) => Promise<void>) => {
    const source = create()
    const intake = new TestIntake()
    try {
      await work(source, intake)
    } finally {
      await soon('close()', source.close())
    }
  }
  const start = (source: Source, intake: TestIntake) =>
    soon('start()', source.start(intake, new AbortController().signal))
  return [
    { name: 'has a kind, a type, a schema and create()', run: async () => checkShape(plugin, 'source') },
    {
      name: 'it can be closed before it was started, twice',
      run: () =>
        within(async (source) => {
          checkHealth(source.health(), 'before start()')
          await soon('close()', source.close())
          checkHealth(source.health(), 'after close()')
        }),
    },
    {
      name: 'it can be closed twice at once, and started by another instance afterwards',
      run: async () => {
        await within(async (source, intake) => {
          await start(source, intake)
          await soon('close()', Promise.all([source.close(), source.close()]))
        })
        await within(start)
      },
    },
    {
      name: 'an abort before and during start() ends it',
      run: async () => {
        await within(async (source, intake) => {
          await settlesSoon('start() with a signal that is aborted', source.start(intake, AbortSignal.abort()))
        })
        await within(async (source, intake) => {
          const controller = new AbortController()
          const starting = settlesSoon('start() after its signal was aborted', source.start(intake, controller.signal))
          controller.abort()
          await starting
        })
      },
    },
    {
      name: 'it delivers what it is fed, as messages with a valid topic, under its own name',
      run: () =>
        within(async (source, intake) => {
          await start(source, intake)
          checkHealth(source.health(), 'while it runs')
          await subject.feed(source)
          await soon('a message', intake.reached(1))
          for (const { topic, payload, source: name, qos, retain } of intake.messages) {
            const fault = topicNameFault(topic)
            if (fault !== undefined) throw new Error(`the topic '${topic}' ${fault}`)
            if (!Buffer.isBuffer(payload)) throw new Error('a payload is no Buffer')
            if (name !== PLUGIN_NAME) throw new Error(`the source of a message is '${name}' instead of context.name`)
            if (![0, 1, 2].includes(qos) || typeof retain !== 'boolean') throw new Error('qos or retain is missing')
          }
        }),
    },
    {
      name: 'it goes on after the log refused a message',
      run: () =>
        within(async (source, intake) => {
          intake.refusing = true
          await start(source, intake)
          await subject.feed(source).catch(() => undefined)
          await sleep(GRACE_MS)
          intake.refusing = false
          const before = intake.messages.length
          await subject.feed(source)
          await soon('a message after a refused one', intake.reached(before + 1))
        }),
    },
    {
      name: 'after close() it delivers nothing',
      run: () =>
        within(async (source, intake) => {
          await start(source, intake)
          await subject.feed(source)
          await soon('a message', intake.reached(1))
          await soon('close()', source.close())
          const before = intake.messages.length
          // That it cannot be fed any more is as good.
          await settlesSoon('feeding a closed source', subject.feed(source))
          await sleep(GRACE_MS)
          if (intake.messages.length > before) throw new Error('a message came after close()')
          checkHealth(source.health(), 'after close()')
        }),
    },
  ]
}
