// TCP ports of 127.0.0.1.

import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'

/** Listens on the port, or on a free one; the caller closes it. */
export const occupyPort = async (port = 0): Promise<{ readonly port: number; close(): Promise<void> }> => {
  const server: Server = createServer((socket) => socket.destroy())
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  const bound = (server.address() as AddressInfo).port
  return {
    port: bound,
    close: async () => {
      server.close()
      await once(server, 'close')
    },
  }
}

export const isFree = async (port: number): Promise<boolean> => {
  try {
    await (await occupyPort(port)).close()
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return false
    throw error
  }
}
