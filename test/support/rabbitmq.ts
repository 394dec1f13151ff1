// A private RabbitMQ node, a child of the test: its own ports, directories and epmd, stopped with everything it started when
// the test ends, however it ends. One node a test file; it can be stopped, killed and started again in between.

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { until } from './until.ts'

const SERVER = '/usr/lib/rabbitmq/bin/rabbitmq-server'
const CONTROL = '/usr/lib/rabbitmq/bin/rabbitmqctl'
const EPMD = '/usr/bin/epmd'
const run = promisify(execFile)

export interface RabbitOptions {
  /** Lines of rabbitmq.conf beyond what every node has. */
  readonly config?: readonly string[]
  readonly plugins?: readonly string[]
}

export interface Rabbit {
  readonly url: string
  readonly port: number
  /** Runs rabbitmqctl with these arguments; resolves with its output. */
  ctl(...args: string[]): Promise<string>
  /** Ends the node in order; its data stay. */
  stop(): Promise<void>
  /** SIGKILL. */
  kill(): Promise<void>
  start(): Promise<void>
}

interface Test {
  teardown(work: () => Promise<void>): void
}

/** Why there is no RabbitMQ here, for `skip`; false when there is. With CI=true a missing server is an error. */
export const rabbitMissing = (): string | false => {
  const missing = [SERVER, CONTROL, EPMD].filter((path) => !existsSync(path))
  if (missing.length === 0) return false
  const reason = `rabbitmq-server is not installed (no ${missing.join(', ')})`
  if (process.env['CI'] === 'true') throw new Error(reason)
  return reason
}

/** Takes 4 to 8 seconds. */
export const startRabbit = async (t: Test, options: RabbitOptions = {}): Promise<Rabbit> => {
  const directory = await mkdtemp(join(tmpdir(), 'tidegate-rabbit-'))
  const [port = 0, distributionPort = 0, epmdPort = 0] = await freePorts(3)
  const home = join(directory, 'home')
  await mkdir(home)
  await mkdir(join(directory, 'log'))
  await writeFile(join(directory, 'enabled_plugins'), `[${(options.plugins ?? []).join(',')}].\n`)
  const config = [
    `listeners.tcp.1 = 127.0.0.1:${port}`,
    'loopback_users = none',
    'disk_free_limit.absolute = 50MB',
    'vm_memory_high_watermark.absolute = 512MB',
    'log.console = false',
    ...(options.config ?? []),
  ]
  await writeFile(join(directory, 'rabbitmq.conf'), `${config.join('\n')}\n`)
  const nodeName = `tidegate${port}@localhost`
  const env = {
    ...process.env,
    LANG: 'C.UTF-8',
    HOME: home,
    RABBITMQ_NODENAME: nodeName,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_MNESIA_BASE: join(directory, 'mnesia'),
    RABBITMQ_LOG_BASE: join(directory, 'log'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, 'enabled_plugins'),
    RABBITMQ_CONFIG_FILE: join(directory, 'rabbitmq.conf'),
    RABBITMQ_PID_FILE: join(directory, 'pid'),
    RABBITMQ_CONF_ENV_FILE: '/dev/null',
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '+S 2:2 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}',
  }

  // Both lead a process group, so that whatever they started goes with them.
  const children = new Set<ChildProcess>()
  const launch = (command: string, args: readonly string[]): ChildProcess => {
    const child = spawn(command, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] })
    children.add(child)
    child.once('exit', () => children.delete(child))
    return child
  }
  const signalAll = () => {
    for (const child of children) signalGroup(child, 'SIGKILL')
  }
  process.once('exit', signalAll)

  const epmd = launch(EPMD, ['-address', '127.0.0.1', '-port', String(epmdPort)])
  epmd.stdout?.resume()
  epmd.stderr?.resume()
  let node: ChildProcess | undefined

  const start = async () => {
    // Of an earlier life of the node: its last words must not be taken for those of this one.
    await rm(join(directory, 'log', `${nodeName}.log`), { force: true })
    const child = launch(SERVER, [])
    node = child
    let output = ''
    let exited = false
    child.stdout?.on('data', (chunk) => {
      output += chunk
    })
    child.stderr?.on('data', (chunk) => {
      output += chunk
    })
    child.once('exit', () => {
      exited = true
    })
    await until(
      'RabbitMQ is ready',
      async () => {
        if (exited) throw new Error(`RabbitMQ ended while starting: ${output}`)
        return (
          output.includes('completed with') ||
          (await logSays(join(directory, 'log'), nodeName, 'Server startup complete'))
        )
      },
      60_000,
    )
    await ctl('await_startup')
  }
  const end = async (signal: NodeJS.Signals) => {
    const child = node
    node = undefined
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
    signalGroup(child, signal)
    const late = setTimeout(() => signalGroup(child, 'SIGKILL'), 20_000)
    await exited
    clearTimeout(late)
    // What the node left behind in its group.
    signalGroup(child, 'SIGKILL')
  }
  const ctl = async (...args: string[]) => {
    const { stdout } = await run(CONTROL, ['-n', nodeName, '--quiet', ...args], { env, timeout: 60_000 })
    return stdout
  }

  t.teardown(async () => {
    await end('SIGTERM')
    const ended = new Promise<void>((resolve) =>
      epmd.exitCode === null ? epmd.once('exit', () => resolve()) : resolve(),
    )
    signalGroup(epmd, 'SIGKILL')
    await ended
    process.removeListener('exit', signalAll)
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  })
  await start()
  return {
    url: `amqp://guest:guest@127.0.0.1:${port}`,
    port,
    ctl,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
    start,
  }
}

const signalGroup = (child: ChildProcess, signal: NodeJS.Signals): void => {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

const logSays = async (directory: string, nodeName: string, text: string): Promise<boolean> => {
  try {
    return (await readFile(join(directory, `${nodeName}.log`), 'utf8')).includes(text)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

/** Ports that were free a moment ago, all different. */
const freePorts = async (count: number): Promise<number[]> => {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(0, '127.0.0.1', resolve)
      })
      return server
    }),
  )
  const ports = servers.map((server) => {
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  })
  await Promise.all(servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))))
  return ports
}
