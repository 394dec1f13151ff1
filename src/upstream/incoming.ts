// A message as it comes in at the far end, whichever version of AMQP brought it.

export interface Incoming {
  /** Routing key in 0-9-1, subject in 1.0. */
  readonly key: string
  readonly contentType: string
  readonly messageId: string
  /** Headers in 0-9-1, application properties in 1.0. */
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: Buffer
}

/** What becomes of it: taken, sent to nobody again, or sent again later. */
export type Outcome = 'accepted' | 'rejected' | 'released' | 'modified'
