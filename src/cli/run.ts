// tidegate run: the gateway in the foreground, until a signal. Says where everything is, how it is doing, and tells the
// service manager. Without a configuration file the upstream is a receiver of its own, so that the whole way is seen working.

import { pid } from 'node:process'
import type { Config } from '../config/config.ts'
import { shippedSchema } from '../config/schema.ts'
import type { Logger } from '../core/contract.ts'
import { Gateway } from '../gateway.ts'
import { createLogger, type LogLevel, logLevels, parseLogLevel, stderrFormat } from '../ops/logger.ts'
import { createMetrics } from '../ops/metrics.ts'
import { createNotifier } from '../ops/systemd.ts'
import { version } from '../ops/version.ts'
import { builtInPlugins } from '../plugins.ts'
import { parseArguments } from './arguments.ts'
import { configOption, configUsage, configuration } from './configuration.ts'
import type { EmbeddedUpstream } from './embedded-upstream.ts'
import type { Io } from './io.ts'
import { decodingOf } from './known-profiles.ts'
import { showStatus } from './run-status.ts'
import { addressesOf, addressText, serviceStatus } from './run-text.ts'
import { UsageError, type Verb } from './verb.ts'

/** A small house: enough to see something move, little enough to read. */
const DEMO_DEVICES = 8
/** Publications per second. */
const DEMO_RATE = 4

const usage = `Usage: tidegate run [options]

Runs the gateway in the foreground until SIGINT or SIGTERM, which it ends with what is in
flight finished. Without a configuration file: MQTT on 127.0.0.1:1883, HTTP on
127.0.0.1:8080, and an embedded receiver as the upstream.

${configUsage}
      --demo          simulated sensors publish to this gateway
      --log-level L   ${logLevels.join(', ')}
                      (default: TIDEGATE_LOG_LEVEL, else info)
  -h, --help          this text`

export const verb: Verb = {
  name: 'run',
  summary: 'run the gateway in the foreground',
  usage,
  async run(args, io) {
    const options = { ...configOption, demo: { type: 'boolean' }, 'log-level': { type: 'string' } } as const
    const { values } = parseArguments(args, options)
    const logLevel = levelOf(values['log-level'] ?? io.env['TIDEGATE_LOG_LEVEL'] ?? 'info')
    const logFormat = stderrFormat(io.env, io.stderr.isTTY === true)
    const logger = createLogger({ level: logLevel, format: logFormat })
    const written = await configuration(values.config, io)
    const upstream = written.file === undefined ? await startUpstream() : undefined
    try {
      const config = upstream === undefined ? written : await configuration(undefined, io, upstream.configuration)
      const gateway = new Gateway({
        config,
        ...(await decodingOf(config)),
        version: version(),
        logger,
        logLevel,
        logFormat,
        metrics: createMetrics(logger),
        configSchema: shippedSchema(await builtInPlugins()),
      })
      await runGateway({ gateway, config, logger, upstream, demo: values.demo === true }, io)
    } finally {
      await upstream?.close()
    }
    return 0
  },
}

interface Running {
  readonly gateway: Gateway
  readonly config: Config
  readonly logger: Logger
  readonly upstream: EmbeddedUpstream | undefined
  readonly demo: boolean
}

const runGateway = async ({ gateway, config, logger, upstream, demo }: Running, io: Io): Promise<void> => {
  const notifier = createNotifier(io.env, pid, logger)
  let simulation: Promise<unknown> | undefined
  try {
    await gateway.start(io.signal)
    const addresses = addressesOf(gateway.apiAddress, gateway.status(), config)
    io.stdout.write(`tidegate ${version()}, gateway ${config.gateway.id}\n`)
    io.stdout.write(addressText(addresses, config, upstream?.url))
    notifier.ready(serviceStatus(gateway.status()))
    if (demo) simulation = simulateOn(addresses.brokers[0], logger, io.signal)
    await showStatus({ report: () => gateway.status(), io, notifier })
  } finally {
    notifier.stopping()
    await simulation
    await gateway.close()
    notifier.close()
  }
}

// Neither is part of a gateway in service, so neither is loaded before it is asked for.
const startUpstream = async (): Promise<EmbeddedUpstream> => {
  const { embeddedUpstream } = await import('./embedded-upstream.ts')
  return embeddedUpstream()
}

// A demonstration that fails must not take the gateway with it.
const simulateOn = async (address: string | undefined, logger: Logger, signal: AbortSignal): Promise<void> => {
  if (address === undefined) return logger.warn({}, 'no mqtt broker to simulate sensors on')
  try {
    const { simulate } = await import('./simulate.ts')
    await simulate({ url: `mqtt://${address}`, devices: DEMO_DEVICES, rate: DEMO_RATE, signal })
  } catch (error) {
    if (!signal.aborted) logger.warn({ error }, 'simulated sensors stopped')
  }
}

const levelOf = (text: string): LogLevel => {
  const level = parseLogLevel(text)
  if (level !== undefined) return level
  throw new UsageError(`the log level must be one of ${logLevels.join(', ')}, not '${text}'`)
}
