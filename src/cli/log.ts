// tidegate log: looks into the data directory, also while the gateway runs, and changes nothing in it.

import { join } from 'node:path'
import { nearest } from '../config/nearest.ts'
import { parseArguments } from './arguments.ts'
import { configOption, configUsage, configuration } from './configuration.ts'
import { UsageError, type Verb } from './verb.ts'
