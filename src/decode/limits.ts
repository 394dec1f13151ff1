// How long the parts of a reading may be: what is longer is data in the wrong place, and would fill the live state.

/** Names of sensors are words and short paths. */
const MAX_NAME_LENGTH = 256
/** More values are a document or a file, not a measurement; they would flood the live state. */
export const MAX_READINGS = 5_000
/** A longer text is a document, not a value. */
export const MAX_TEXT_LENGTH = 4_096

/** Why the text cannot be the name of a reading. */
export const nameFault = (name: string): string | undefined => {
  if (name === '') return 'a value has no name'
  return name.length > MAX_NAME_LENGTH
    ? `the name ${shortened(name)} is longer than ${MAX_NAME_LENGTH} characters`
    : undefined
}

/** For messages. */
export const shortened = (text: string): string => (text.length > 60 ? `${text.slice(0, 60)}…` : text)

/** A fault is shown and forwarded; it need not quote the payload. */
const MAX_FAULT_LENGTH = 300

/** A fault as it may be shown: bounded, and without control characters of the payload, which could drive a terminal. */
export const shownFault = (fault: string): string => {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
  const shown = fault.slice(0, MAX_FAULT_LENGTH).replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd')
  return fault.length > MAX_FAULT_LENGTH ? `${shown}…` : shown
}
