// Keeps secrets out of logs and messages: passwords in URLs, bearer tokens, and values under keys that name a secret.
// Everything that is logged or printed about the configuration or an error passes through here.

const HIDDEN = '***'
/** Deeper values are not walked: nothing that is logged needs more. */
const MAX_DEPTH = 6
/** A longer password is cut at this length; the bound keeps the pattern linear. */
const MAX_PASSWORD_LENGTH = 1_024

const urlPassword = new RegExp(`(\\b[a-z][a-z0-9+.-]{0,31}://[^\\s:/@]{0,256}):[^\\s]{0,${MAX_PASSWORD_LENGTH}}@`, 'gi')
const bearerToken = /\b(Bearer|Basic)\s+[\w.~+/=-]{8,}/gi
const secretKey = /pass(word|wd|phrase)$|secret$|token$|^authorization$|credential$/i

/** The text without passwords in URLs and without credentials of an Authorization header. */
export const redactText = (text: string): string => {
  const visible = text.includes('://') ? text.replace(urlPassword, `$1:${HIDDEN}@`) : text
  return visible.includes('earer') || visible.includes('asic') ? visible.replace(bearerToken, `$1 ${HIDDEN}`) : visible
}

/** A copy of plain data without secrets, whatever its shape; what is too deep is left out. */
export const redact = (value: unknown, depth = 0): unknown => {
  if (typeof value === 'string') return redactText(value)
  if (typeof value !== 'object' || value === null) return value
  if (ArrayBuffer.isView(value)) return `(${value.byteLength} bytes)`
  if (value instanceof Date) return value
  if (depth >= MAX_DEPTH) return '…'
  if (Array.isArray(value)) return value.map((item) => redact(item, depth + 1))
  return redactFields(value, depth)
}

/** The same for the members of an object. */
export const redactFields = (fields: object, depth = 0): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(fields).map(([key, item]) => [
      key,
      secretKey.test(key) && typeof item === 'string' ? HIDDEN : redact(item, depth + 1),
    ]),
  )
