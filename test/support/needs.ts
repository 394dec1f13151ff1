// Programs of Debian packages that a test starts. Where one is missing the test is skipped and says so; in CI it fails instead.

import { existsSync } from 'node:fs'

/** Package name → the program of it that tests start. */
const PROGRAMS = {
  chromium: '/usr/bin/chromium',
  mosquitto: '/usr/sbin/mosquitto',
  'mosquitto-clients': '/usr/bin/mosquitto_pub',
  socat: '/usr/bin/socat',
  systemd: '/usr/bin/systemd-analyze',
} as const satisfies Record<string, string>

/** The options of a test that needs these packages. */
export const needs = (...packages: readonly (keyof typeof PROGRAMS)[]): { readonly skip: string | false } => {
  if (process.env['CI'] === 'true') return { skip: false }
  const missing = packages.filter((name) => !existsSync(PROGRAMS[name]))
  return { skip: missing.length === 0 ? false : `needs ${missing.join(', ')}, not installed` }
}
