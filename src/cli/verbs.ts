// The one table of verbs. Each is imported only when it is asked for, so that --version and --help are quick.

import type { Verb } from './verb.ts'

export interface VerbEntry {
  readonly name: string
  readonly summary: string
  readonly load: () => Promise<Verb>
}

export const verbs: readonly VerbEntry[] = [
  {
    name: 'run',
    summary: 'run the gateway in the foreground',
    load: async () => (await import('./run.ts')).verb,
  },
  {
    name: 'check',
    summary: 'validate the configuration without starting',
    load: async () => (await import('./check.ts')).verb,
  },
  {
    name: 'init',
    summary: 'write a commented configuration to start from',
    load: async () => (await import('./init.ts')).verb,
  },
  {
    name: 'status',
    summary: 'show how the running gateway is doing',
    load: async () => (await import('./status.ts')).verb,
  },
  {
    name: 'tail',
    summary: 'follow the readings of the running gateway',
    load: async () => (await import('./tail.ts')).verb,
  },
  {
    name: 'decode',
    summary: 'show what a payload decodes to, and why',
    load: async () => (await import('./decode.ts')).verb,
  },
  {
    name: 'devices',
    summary: 'list the device profiles, run their examples, draft a new one',
    load: async () => (await import('./devices.ts')).verb,
  },
  {
    name: 'log',
    summary: 'look into the data directory',
    load: async () => (await import('./log.ts')).verb,
  },
  {
    name: 'simulate',
    summary: 'publish realistic readings over MQTT',
    load: async () => (await import('./simulate.ts')).verb,
  },
  {
    name: 'receive',
    summary: 'be the upstream: receive and check what a gateway sends',
    load: async () => (await import('./receive.ts')).verb,
  },
]
