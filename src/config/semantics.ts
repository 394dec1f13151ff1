// Rules that a schema cannot say: names that must differ, ports that two would want, listeners that need protection.
// They look at whatever is there, valid or not, so that every problem is reported at once.

import type { Path } from './document.ts'
import { isLoopback, type ListenAddress, listenersCollide, parseListen } from './listen.ts'
import { list, record } from './schema.ts'
import { serialFindings } from './serial-semantics.ts'
import { type Finding, pathText } from './validation.ts'

/** `value` is the configuration with its defaults filled in. */
export const semanticFindings = (value: unknown): readonly Finding[] => [
  ...duplicateNames(value, 'sources'),
  ...duplicateNames(value, 'sinks'),
  ...collidingListeners(value),
  ...openApi(value),
  ...openBrokers(value),
  ...unusableUrls(value),
  ...unclearPolicies(value),
  ...serialFindings(value),
]

interface Listener extends ListenAddress {
  readonly path: Path
}

const duplicateNames = (value: unknown, kind: 'sources' | 'sinks'): readonly Finding[] => {
  const seen = new Map<string, number>()
  return parts(value, kind).flatMap((part, index): Finding[] => {
    const name = part['name']
    if (typeof name !== 'string') return []
    const earlier = seen.get(name)
    if (earlier === undefined) {
      seen.set(name, index)
      return []
    }
    return [finding([kind, index, 'name'], `${kind}[${index}].name ${name} is already the name of ${kind}[${earlier}]`)]
  })
}

const collidingListeners = (value: unknown): readonly Finding[] => {
  const listeners = [
    listener(['api', 'listen'], record(record(value)['api'])['listen']),
    ...sourceListeners(value),
  ].filter((found) => found !== undefined)
  return listeners.flatMap((one, index): Finding[] => {
    const other = listeners.slice(0, index).find((earlier) => listenersCollide(earlier, one))
    if (other === undefined) return []
    return [
      finding(one.path, `${pathText(one.path)} wants port ${one.port}, which ${pathText(other.path)} has already`),
    ]
  })
}

const openApi = (value: unknown): readonly Finding[] => {
  const api = record(record(value)['api'])
  const address = listener(['api', 'listen'], api['listen'])
  const tokens = api['tokens']
  if (address === undefined || isLoopback(address.host) || (Array.isArray(tokens) && tokens.length > 0)) return []
  return [
    finding(
      address.path,
      'api.listen reaches beyond this machine, so api.tokens must name who may come in: ' +
        'TOKEN=$(openssl rand -hex 32), then tokens: [{ name: me, hash: "sha256:" and what printf %s "$TOKEN" | sha256sum says }]; ' +
        'or listen on 127.0.0.1',
    ),
  ]
}

const openBrokers = (value: unknown): readonly Finding[] =>
  parts(value, 'sources').flatMap((part, index): Finding[] => {
    const address = listener(['sources', index, 'listen'], part['listen'])
    if (part['type'] !== 'mqtt-broker' || address === undefined || isLoopback(address.host)) return []
    if (part['users'] !== undefined) return []
    return [
      finding(
        address.path,
        `${pathText(address.path)} reaches beyond this machine, where anybody could publish: MQTT users are not available in ` +
          'this version yet. Listen on 127.0.0.1, and let an authenticating proxy or a tunnel come in from outside',
      ),
    ]
  })

// Never with the URL itself: it may hold a password.
const unusableUrls = (value: unknown): readonly Finding[] =>
  (['sources', 'sinks'] as const).flatMap((kind) =>
    parts(value, kind).flatMap(({ url }, index): Finding[] => {
      if (typeof url !== 'string' || (URL.canParse(url) && new URL(url).hostname !== '')) return []
      return [finding([kind, index, 'url'], `${pathText([kind, index, 'url'])} is not a URL with a host`)]
    }),
  )

// A policy with both would leave open whether both must match.
const unclearPolicies = (value: unknown): readonly Finding[] =>
  list(record(record(value)['log'])['keep']).flatMap((policy, index): Finding[] => {
    const { topic, device } = record(policy)
    if ((topic === undefined) !== (device === undefined)) return []
    const path = ['log', 'keep', index]
    const fault =
      topic === undefined ? 'lacks a filter: topic or device' : 'has both topic and device; write two policies'
    return [finding(path, `${pathText(path)} ${fault}`)]
  })

const sourceListeners = (value: unknown): readonly (Listener | undefined)[] =>
  parts(value, 'sources').map((part, index) => listener(['sources', index, 'listen'], part['listen']))

const listener = (path: Path, text: unknown): Listener | undefined => {
  const address = typeof text === 'string' ? parseListen(text) : undefined
  return address === undefined ? undefined : { ...address, path }
}

const parts = (value: unknown, kind: 'sources' | 'sinks'): readonly Readonly<Record<string, unknown>>[] => {
  const list = record(value)[kind]
  return Array.isArray(list) ? list.map(record) : []
}

const finding = (path: Path, message: string): Finding => ({ path, at: 'value', message })
