// What the search box finds: devices whose name, profile or value names contain all words, in any case and any order.

import type { Device } from './device-store.ts'

export const searchWords = (text: string): readonly string[] => text.toLowerCase().split(/\s+/).filter(Boolean)

/** Every word stands in the device's name, its profile, or one of the names of its values. */
export const matchesSearch = (device: Device, words: readonly string[]): boolean =>
  words.every((word) => matchesDevice(device, word) || device.names.some((name) => contains(name, word)))

/** The names to show: those that were searched for, or all where the words describe the device itself. */
export const matchingNames = (device: Device, words: readonly string[]): readonly string[] => {
  const valueWords = words.filter((word) => !matchesDevice(device, word))
  if (valueWords.length === 0) return device.names
  return device.names.filter((name) => valueWords.some((word) => contains(name, word)))
}

const matchesDevice = (device: Device, word: string): boolean =>
  contains(device.name, word) || contains(device.info?.profile ?? '', word)

const contains = (text: string, word: string): boolean => text.toLowerCase().includes(word)
