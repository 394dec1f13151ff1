// Entry of the forward thread: hands the real parts to forward/worker-loop.ts. Wiring only. What it shares with the ingest
// thread is the data directory; see forward/protocol.ts for the hints that go to and fro.

import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import type { DeviceProfile, SourceBinding } from './core/profile.ts'
import { Knowledge } from './decode/knowledge.ts'
import { createRouter } from './decode/router.ts'
import type { ForwardWorkerData } from './forward/protocol.ts'
import { runForwardThread } from './forward/worker-loop.ts'
import { openCursor } from './log/cursor.ts'
import { readDescriptions } from './log/description-file.ts'
import { nodeFileSystem } from './log/file-system.ts'
import { openReader } from './log/reader.ts'
import { systemClock } from './ops/clock.ts'
import { createLogger, type LogFormat, type LogLevel } from './ops/logger.ts'
import { decoderPlugins, sinkPlugin } from './plugins.ts'

if (parentPort === null) throw new Error('worker.ts is the entry of a worker thread')

const data = workerData as ForwardWorkerData
const fileSystem = nodeFileSystem()
const logger = createLogger({ level: data.logLevel as LogLevel, format: data.logFormat as LogFormat })

await runForwardThread(parentPort, data, {
  logger,
  clock: systemClock(),
  loadSink: (type) => sinkPlugin(type, data.plugins),
  openReader: (durable) => openReader({ directory: data.dataDirectory, fileSystem, durable }),
  openCursor: (name) => openCursor({ directory: join(data.dataDirectory, 'cursors'), name, fileSystem, logger }),
  createDecoding: async (profiles, bindings, open) => {
    const router = createRouter(profiles as readonly DeviceProfile[], {
      decoders: await decoderPlugins(data.plugins),
      bindings: bindings as readonly SourceBinding[],
    })
    const knowledge = new Knowledge(router, open)
    // A file that cannot be used is the ingest thread's to deal with: the log is read instead.
    const known = await readDescriptions({ directory: data.dataDirectory, fileSystem })
    if (typeof known === 'object') knowledge.recall(known, data.durable)
    return { decode: router.decode, knowledge }
  },
})
