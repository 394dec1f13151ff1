// One line of a telegram: an OBIS code (IEC 62056-61) and its values in parentheses (IEC 62056-21, 6.5), such as
// 1-0:1.8.1(001581.123*kWh) or 0-1:24.2.1(161129200000W)(00981.443*m3).

export interface DataObject {
  /** Medium: 0 abstract, 1 electricity. */
  readonly a: number
  /** Channel: 0 the meter itself, 1 to 4 what hangs on its M-Bus. */
  readonly b: number
  /** C.D.E. */
  readonly code: string
  readonly values: readonly string[]
}

/** A text message has up to 1024 characters, each as two digits. */
const MAX_LINE_LENGTH = 4_096

const LINE = /^(?:(\d{1,3})-(\d{1,3}):)?(\d{1,3}\.\d{1,3}\.\d{1,3})(?:[*.]\d{1,3})?((?:\([^()]*\))+)$/

/** Lines that cannot be read are left out, and come back as faults. */
export const parseObjects = (
  lines: readonly string[],
): { objects: readonly DataObject[]; faults: readonly string[] } => {
  const objects: DataObject[] = []
  const faults: string[] = []
  for (const line of joined(lines)) {
    const match = line.length > MAX_LINE_LENGTH ? null : LINE.exec(line)
    if (match === null) {
      faults.push(`this line is no data object: ${line.slice(0, 40)}`)
      continue
    }
    const [, a = '1', b = '0', code = '', values = ''] = match
    objects.push({ a: Number(a), b: Number(b), code, values: values.slice(1, -1).split(')(') })
  }
  return { objects, faults }
}

/** DSMR 2.2 puts the value of a gas meter into a line of its own. */
const joined = (lines: readonly string[]): readonly string[] => {
  const whole: string[][] = []
  for (const raw of lines) {
    const line = raw.trim()
    const last = whole.at(-1)
    if (line === '') continue
    if (line.startsWith('(') && last !== undefined) last.push(line)
    else whole.push([line])
  }
  return whole.map((parts) => parts.join(''))
}
