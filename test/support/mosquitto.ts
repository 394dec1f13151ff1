// Mosquitto's command-line clients: MQTT clients that we did not write.

import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** Publishes with mosquitto_pub; resolves when it has ended well, which for QoS 1 means that it has seen the PUBACK. */
export const mosquittoPub = async (port: number, ...options: readonly string[]): Promise<void> => {
  const child = spawn('mosquitto_pub', ['-h', '127.0.0.1', '-p', String(port), ...options], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let complaints = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`mosquitto_pub ended with ${code}: ${complaints.trim()}`)
}

/** What mosquitto_sub receives until it has `count` messages, one line each; rejects after the deadline. */
export const mosquittoSub = async (
  port: number,
  count: number,
  deadlineMs: number,
  ...options: readonly string[]
): Promise<readonly string[]> => {
  const limits = ['-C', String(count), '-W', String(Math.ceil(deadlineMs / 1000))]
  const child = spawn('mosquitto_sub', ['-h', '127.0.0.1', '-p', String(port), ...limits, ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let received = ''
  let complaints = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    received += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`mosquitto_sub ended with ${code} after: ${received.trim()} ${complaints.trim()}`)
  return received.split('\n').slice(0, -1)
}
