// Why a port could not be opened, in a user's words, with who holds it and what to do.

import { readdir, readFile, readlink, realpath } from 'node:fs/promises'
import { describe } from '../../core/errors.ts'

/** A machine with more processes is not searched to the end. */
const MAX_PROCESSES = 4_096

export const openFault = async (path: string, error: unknown): Promise<string> => {
  const text = describe(error)
  if (/lock|busy/i.test(text)) {
    const holder = await holderOf(path)
    return `${path} is in use by ${holder ?? 'another program'}; stop it, or take it out of the other source`
  }
  if (/inappropriate ioctl/i.test(text)) return `${path} is no serial port; check the path`
  if (/baud/i.test(text)) return `${path} does not take this baud rate: ${text}`
  return `${path} cannot be opened: ${text}`
}

/** Who has it open, as far as this user may see. */
const holderOf = async (path: string): Promise<string | undefined> => {
  try {
    const device = await realpath(path)
    const processes = (await readdir('/proc')).filter((name) => /^[0-9]+$/.test(name)).slice(0, MAX_PROCESSES)
    for (const pid of processes) {
      if (!(await hasOpen(pid, device))) continue
      if (Number(pid) === process.pid) return 'this gateway'
      const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')
      return `process ${pid} (${name.trim()})`
    }
    return undefined
  } catch {
    return undefined
  }
}

const hasOpen = async (pid: string, device: string): Promise<boolean> => {
  const directory = `/proc/${pid}/fd`
  const descriptors = await readdir(directory).catch(() => [])
  const links = descriptors.map((descriptor) => readlink(`${directory}/${descriptor}`).catch(() => ''))
  return (await Promise.all(links)).includes(device)
}
