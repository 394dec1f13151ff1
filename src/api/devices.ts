// GET /api/v1/devices, /devices/{device} and /devices/{device}/commands. A device's name may hold slashes, so the path behind
// /devices/ is the name, percent-encoded or not; a device that is called so comes before the commands of another.

import type { FastifyInstance } from 'fastify'
import { TidegateError } from '../core/errors.ts'
import type { ProfileCommand } from '../core/profile.ts'
import { jsonArray } from '../live/batch.ts'
import { COMMANDS_PATH, commandsPage, pathRest } from './commands.ts'
import type { ApiContext } from './context.ts'
import { goneWith } from './gone.ts'

export const registerDevices = (app: FastifyInstance, { options }: ApiContext): void => {
  const { clock, live } = options
  app.get('/api/v1/devices', async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    return { seq: live.seq, devices: live.state.devices(clock) }
  })
  app.get('/api/v1/devices/*', async (request, reply) => {
    const device = pathRest(request.params)
    const report = live.state.device(device, clock)
    reply.header('cache-control', 'no-store').header('content-type', 'application/json; charset=utf-8')
    if (report === undefined && device.endsWith(COMMANDS_PATH)) {
      const owner = device.slice(0, -COMMANDS_PATH.length)
      return goneWith(reply, async (signal) => {
        const page = await commandsPage(live, owner, signal)
        if (page === undefined && live.state.origin(owner) === undefined) throw unknownDevice(owner)
        return reply.send(page ?? JSON.stringify({ device: owner, commands: [] }))
      })
    }
    if (report === undefined) throw unknownDevice(device)
    const offered = options.commands?.offered(device) ?? []
    const told = offered.length === 0 ? report : { ...report, commands: offered.map(shownCommand) }
    const members = JSON.stringify({ seq: live.seq, ...told }).slice(0, -1)
    return reply.send(`${members},"readings":${jsonArray(live.state.readingsOf(device))}}`)
  })
}

/** What a client needs to offer it; how it is written is the profile's business. */
const shownCommand = ({ name, title, parameters }: ProfileCommand) => ({
  name,
  ...(title === undefined ? {} : { title }),
  ...(parameters === undefined ? {} : { parameters }),
})

const unknownDevice = (device: string): TidegateError =>
  new TidegateError('TG_NOT_FOUND', `device '${device.slice(0, 200)}' has not been heard`)
