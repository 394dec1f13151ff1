// Who may import whom in src/, which package belongs to which room, and the search for what breaks it. DESIGN, section 2.

import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { cruise, type ICruiseResult, type IDependency } from 'dependency-cruiser'

/** Per room: the rooms, or single modules of a room, that it may import besides itself. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  core: [],
  config: ['core'],
  sources: ['core'],
  decode: ['core'],
  log: ['core'],
  live: ['core', 'decode'],
  commands: ['core', 'decode'],
  sinks: ['core'],
  ops: ['core'],
  upstream: ['core'],
  // The contract suites for authors of plug-ins.
  testing: ['core', 'config', 'decode', 'ops/clock'],
  api: ['core', 'live', 'decode', 'log/reader'],
  forward: ['core', 'decode', 'log/reader', 'log/cursor'],
  web: ['core'],
  'plugins.ts': ['core', 'sources', 'sinks', 'decode/dialects'],
  'worker.ts': [
    'core',
    'decode',
    'forward',
    'log/reader',
    'log/cursor',
    'log/file-system',
    'log/description-file',
    'ops',
    'plugins.ts',
  ],
  'gateway-sources.ts': ['core', 'config', 'ops', 'plugins.ts'],
  'gateway.ts': [
    ...['core', 'config', 'decode', 'log', 'live', 'commands', 'ops', 'api', 'forward', 'upstream'],
    'gateway-sources.ts',
  ],
  cli: [
    ...['core', 'config', 'sources', 'decode', 'log', 'live', 'sinks', 'ops', 'upstream', 'api', 'forward'],
    ...['plugins.ts', 'gateway.ts'],
  ],
  'main.ts': ['core', 'cli', 'config', 'ops'],
}

/** Per package: the only places that may import it. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  aedes: ['sources/mqtt-broker'],
  'aedes-persistence': ['sources/mqtt-broker'],
  'mqtt-packet': ['sources/mqtt-broker'],
  // The receiving side is an upstream of its own, and speaks the protocols from the other end.
  amqplib: ['sinks/amqp', 'upstream'],
  rhea: ['sinks/amqp1', 'upstream'],
  fastify: ['api'],
  ws: ['api', 'cli'],
  pino: ['ops/logger'],
  'pino-pretty': ['ops/logger'],
  'prom-client': ['ops/metrics'],
  koffi: ['ops/libc'],
  yaml: ['config'],
  ajv: ['config'],
  preact: ['web'],
  mqtt: ['cli/simulate', 'sources/mqtt-client'],
  // Modbus RTU has a framing of its own on the same port.
  serialport: ['sources/serial', 'sources/modbus'],
  'modbus-serial': ['sources/modbus'],
  cborg: ['decode/cbor'],
  '@bufbuild/protobuf': ['decode/dialects/sparkplug'],
}

/** Node's own modules without I/O, for core; every other one needs a room. */
const PURE_MODULES = ['buffer', 'util', 'crypto', 'zlib']

/** Built-in plug-ins: they do not know each other. */
const PLUGIN_ROOMS = ['sources', 'sinks']

export interface Cruise {
  readonly modules: number
  /** One line each: what imports what, and why it may not. */
  readonly violations: readonly string[]
}

/** Reads every import of every module below `root`/src, type-only ones included. */
export const cruiseLayers = async (root: string): Promise<Cruise> => {
  const { output } = await cruise(['src'], {
    baseDir: root,
    ruleSet: { forbidden: [{ name: 'cycle', severity: 'error', from: {}, to: { circular: true } }] },
    validate: true,
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['types', 'import', 'node', 'default'] },
  })
  if (typeof output === 'string') throw new Error('dependency-cruiser answered with text')
  return examine(output)
}

/** Source files below a directory, by name only: what the cruise must not have missed. */
export const sourceFiles = async (directory: string): Promise<readonly string[]> => {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
}

const examine = (output: ICruiseResult): Cruise => {
  const violations: string[] = []
  const own = output.modules.filter((module) => /^src\/.*\.tsx?$/.test(module.source))
  for (const module of own) {
    const room = roomOf(module.source)
    if (ROOMS[room] === undefined) violations.push(`${module.source}: there is no such room in the table`)
    for (const dependency of module.dependencies) {
      const fault = importFault(module.source, dependency)
      if (fault !== undefined) violations.push(`${module.source} → ${dependency.resolved}: ${fault}`)
    }
  }
  for (const violation of output.summary.violations) {
    const way = violation.cycle?.map((step) => step.name).join(' → ') ?? violation.to
    violations.push(`${violation.from} → ${way}: ${violation.rule.name}`)
  }
  return { modules: own.length, violations }
}

const importFault = (from: string, dependency: IDependency): string | undefined => {
  if (dependency.couldNotResolve) return 'cannot be resolved'
  if (dependency.coreModule) return nodeModuleFault(from, dependency.module)
  if (dependency.resolved.startsWith('src/')) return roomFault(from, dependency.resolved)
  return packageFault(from, dependency.module)
}

/** `src/log/reader.ts` → `log`; `src/main.ts` → `main.ts`. */
const roomOf = (file: string): string => file.split('/')[1] ?? ''

/** Whether the file is the place (`api`), or lies below or beside it (`sinks/amqp`: sinks/amqp.ts, sinks/amqp/…, sinks/amqp-….ts). */
const isIn = (file: string, place: string): boolean => {
  const path = file.slice('src/'.length)
  return path === place || (path.startsWith(place) && /^[/.-]/.test(path.slice(place.length)))
}

const roomFault = (from: string, to: string): string | undefined => {
  const room = roomOf(from)
  if (roomOf(to) === room) return PLUGIN_ROOMS.includes(room) ? pluginFault(from, to) : undefined
  if (ROOMS[room]?.some((place) => isIn(to, place))) return undefined
  return `${room} may not import ${roomOf(to)}`
}

/** Within a room of plug-ins: a folder belongs to one plug-in; single files beside them may be shared. */
const pluginFault = (from: string, to: string): string | undefined => {
  const [, , own, inner] = from.split('/')
  const [, , other, otherInner] = to.split('/')
  if (otherInner === undefined || own === other) return undefined
  return `${inner === undefined ? 'a shared file' : `plug-in ${own}`} may not know plug-in ${other}`
}

const packageFault = (from: string, specifier: string): string | undefined => {
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
  const owners = PACKAGES[name]
  if (owners === undefined) return `package ${name} has no owner in the table`
  return owners.some((place) => isIn(from, place)) ? undefined : `package ${name} belongs to ${owners.join(', ')}`
}

const nodeModuleFault = (from: string, specifier: string): string | undefined => {
  const name = specifier.replace(/^node:/, '')
  if (isIn(from, 'core') && !PURE_MODULES.includes(name)) return 'core does no I/O'
  if (isIn(from, 'web')) return 'the dashboard runs in a browser'
  if (isIn(from, 'log') && !isIn(from, 'log/file-system') && /^fs\b/.test(name)) {
    return 'log/file-system is the only door to node:fs'
  }
  return undefined
}
