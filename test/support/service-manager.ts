// A stand-in for systemd's end of sd_notify. Node has no datagram sockets of the Unix domain, so socat receives.

import { spawn } from 'node:child_process'
import { once } from 'node:events'

interface Test {
  teardown(work: () => Promise<void>): void
}

/** `address` as socat writes it: `UNIX-RECV:PATH` or `ABSTRACT-RECV:NAME`. The first datagrams may come before it listens. */
export const serviceManager = async (t: Test, address: string): Promise<{ readonly heard: () => string }> => {
  const socat = spawn('/usr/bin/socat', ['-u', address, 'STDOUT'], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  socat.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  t.teardown(async () => {
    const closed = once(socat, 'close')
    socat.kill('SIGKILL')
    await closed
  })
  return { heard: () => text }
}
