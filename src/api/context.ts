// What the routes share: the options, who may do what, and the parts of the API that live as long as the server.

import type { Access } from './access.ts'
import type { BodyCache } from './body-cache.ts'
import type { LongPolls } from './long-polls.ts'
import type { ApiLimits, ApiOptions } from './options.ts'
import type { Streams } from './streams.ts'

export interface ApiContext {
  readonly options: ApiOptions
  readonly limits: ApiLimits
  readonly access: Access
  readonly bodies: BodyCache
  readonly longPolls: LongPolls
  readonly streams: Streams
}
