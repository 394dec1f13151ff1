// What a verb is given of the process. Only main.ts looks at the process itself.

export interface Io {
  readonly stdin: NodeJS.ReadableStream
  /** write() returns false when its reader is behind; then `drain` says when there is room. */
  readonly stdout: {
    write(text: string): unknown
    once?(event: 'drain', listener: () => void): unknown
    readonly isTTY?: boolean
  }
  readonly stderr: { write(text: string): unknown; readonly isTTY?: boolean }
  readonly env: Readonly<Record<string, string | undefined>>
  /** Aborted by the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal
}
