// How long the parts of a reading may be: what is longer is data in the wrong place, and would fill the live state.

/** Names of sensors are words and short paths. */
export const MAX_NAME_LENGTH = 256
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
