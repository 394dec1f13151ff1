// What the subcommands of `tidegate log` have in common: which data directory, opened for reading only.

import type { LogReader } from '../core/log-contract.ts'
import { nodeFileSystem } from '../log/file-system.ts'
import { openReader } from '../log/reader.ts'
import { configOption, configUsage, configuration } from './configuration.ts'
import type { Io } from './io.ts'

export const dataOptions = { ...configOption, data: { type: 'string' } } as const

export const dataUsage = `      --data DIR      this data directory, instead of the configured gateway.data
${configUsage}
  -h, --help          this text`

export const dataDirectory = async (values: { readonly data?: string; readonly config?: string }, io: Io) =>
  values.data ?? (await configuration(values.config, io)).gateway.data

/** Reads whatever whole blocks are there, also those that a running gateway is just writing. */
export const readerOf = (directory: string): LogReader =>
  openReader({ directory, fileSystem: nodeFileSystem(), durable: () => Number.POSITIVE_INFINITY })
