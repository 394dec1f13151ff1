// Where a gateway keeps its data when the configuration does not say.

import { isAbsolute, join } from 'node:path'

const OWN = 'tidegate'

/** $STATE_DIRECTORY (systemd's StateDirectory=), else $XDG_STATE_HOME/tidegate, else ~/.local/state/tidegate; undefined without a home. */
export const defaultDataDirectory = (env: Readonly<Record<string, string | undefined>>): string | undefined => {
  // systemd separates several directories by colons; the first is ours.
  const state = env['STATE_DIRECTORY']?.split(':')[0]
  if (state !== undefined && isAbsolute(state)) return state
  // The specification says: a relative path is invalid and to be ignored.
  const xdg = env['XDG_STATE_HOME']
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, OWN)
  const home = env['HOME']
  return home !== undefined && isAbsolute(home) ? join(home, '.local', 'state', OWN) : undefined
}
