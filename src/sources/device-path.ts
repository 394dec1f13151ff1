// Which device stands at a path, and whether a device that is open is still there. A path under /dev/serial leads to another
// device after a re-plug, and a device that was pulled out may stay open for long without any error.

import { fstatSync } from 'node:fs'
import { access, constants, stat } from 'node:fs/promises'
import { describe, systemCode } from '../core/errors.ts'

/** Why the device at the path cannot be opened, with what to do about it; undefined when nothing is in the way. */
export const pathFault = async (path: string): Promise<string | undefined> => {
  try {
    if (!(await stat(path)).isCharacterDevice()) return `${path} is no serial port; check the path`
    await access(path, constants.R_OK | constants.W_OK)
    return undefined
  } catch (error) {
    return accessFault(path, error)
  }
}

const accessFault = (path: string, error: unknown): string => {
  switch (systemCode(error)) {
    case 'ENOENT':
    case 'ENOTDIR':
      return `nothing is plugged in at ${path}; plug the device in, or correct the path (ls -l /dev/serial/by-id)`
    case 'EACCES':
    case 'EPERM':
      return `${path} may not be opened; add the gateway's user to the group dialout and restart the gateway`
    default:
      return `${path} cannot be opened: ${describe(error)}`
  }
}

/**
 * Why an open device has to be given up: pulled out, or no longer what its path leads to. The node of a device that is gone is
 * unlinked although it is open.
 */
export const deviceFault = async (path: string, fd: number): Promise<'unplugged' | 'replaced' | undefined> => {
  try {
    const own = fstatSync(fd)
    if (own.nlink === 0) return 'unplugged'
    const there = await stat(path)
    return there.rdev === own.rdev && there.ino === own.ino && there.dev === own.dev ? undefined : 'replaced'
  } catch (error) {
    // A name that is missing for a moment says nothing about the device.
    return systemCode(error) === 'EBADF' ? 'unplugged' : undefined
  }
}
