import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { verb } from '../../src/cli/check.ts'
import { runVerb } from '../../src/cli/verb.ts'
import { capturedIo } from '../support/captured-io.ts'
import { temporaryDirectory } from '../support/directory.ts'

const check = async (file: string) => {
  const io = capturedIo()
  const code = await runVerb(verb, ['--config', file], io)
  return { code, out: io.out(), err: io.err() }
}

test('a valid configuration is summed up in one line', async (t) => {
  const file = join(await temporaryDirectory(t), 'tidegate.yaml')
  await writeFile(
    file,
    `gateway: { id: greenhouse }
sinks:
  - { name: cloud, type: amqp, url: "amqp://u:hunter2@rabbitmq", exchange: telemetry, exchangeType: topic,
      routingKey: "telemetry.{gateway}.{device}", batch: { maxReadings: 500, maxDelay: 1s },
      encoding: senml+json, compression: none }
  - { name: hub, type: amqp1, url: "amqp://127.0.0.1:5672", address: telemetry }
`,
  )
  const { code, out, err } = await check(file)
  t.equal(err, '')
  t.equal(code, 0)
  t.match(
    out,
    /tidegate\.yaml: valid; gateway greenhouse; sources: broker; sinks: cloud, hub; \d+ device profiles; data in /,
  )
  t.notMatch(out, /hunter2/)
})

test('every problem is printed as FILE:LINE:COL: message, and the exit code is 2', async (t) => {
  const file = join(await temporaryDirectory(t), 'tidegate.yaml')
  await writeFile(
    file,
    `log:
  comitDelay: 10ms
sources:
  - { name: broker, type: mqtt-broker, listen: "127.0.0.1:1883", maxPacketByte: 1KiB }
sinks:
  - { name: cloud, type: amqp, url: "http://x", routingKey: "{gatewai}" }
  - { name: hub, type: amqp1, url: "amqp://" }
`,
  )
  const { code, out, err } = await check(file)
  t.equal(code, 2)
  t.equal(out, '')
  const lines = err.trimEnd().split('\n')
  t.strictSame(
    lines.map((line) => line.replace(`${file}:`, '').replace(/ .*/, '')),
    ['2:3:', '4:66:', '6:37:', '6:61:', '7:36:'],
  )
  t.match(lines, [/did you mean commitDelay\?/, /did you mean maxPacketBytes\?/, /url/, /routingKey/, /url.*host/])
})

test('a missing file is exit code 2 and names the file', async (t) => {
  const { code, err } = await check('/nonexistent/tidegate.yaml')
  t.equal(code, 2)
  t.match(err, /^tidegate: \/nonexistent\/tidegate\.yaml does not exist; .*init.*\(TG_CONFIG_MISSING\)\n$/)
})

test('faulty device profiles are found as well', async (t) => {
  const directory = await temporaryDirectory(t)
  const file = join(directory, 'tidegate.yaml')
  await mkdir(join(directory, 'profiles'))
  await writeFile(join(directory, 'profiles', 'own.yaml'), 'nam: own\n')
  await writeFile(file, 'gateway: { devices: [profiles] }\n')
  const { code, err } = await check(file)
  t.equal(code, 2)
  t.match(err, /own\.yaml:1:\d+: .*did you mean name\?/)
})

test('a source that names a profile which cannot be its own is found, where it stands', async (t) => {
  const file = join(await temporaryDirectory(t), 'tidegate.yaml')
  await writeFile(
    file,
    `sources:
  - { name: meter, type: serial, path: /dev/ttyUSB0, profile: dsrm, device: meter }
  - name: bus
    type: modbus
    path: /dev/ttyUSB1
    units:
      - { unit: 1, profile: sdm120, device: solar }
      - { unit: 2, profile: dsmr, device: grid }
`,
  )
  const { code, err } = await check(file)
  t.equal(code, 2)
  t.match(
    err,
    /tidegate\.yaml:2:63: sources\[meter\] names the profile dsrm, which does not exist; did you mean dsmr\?/,
  )
  t.match(err, /tidegate\.yaml:8:29: sources\[bus\] names the profile dsmr, which has no section modbus/)
})

test('what only a source itself can say about its settings is found, where the source stands', async (t) => {
  const file = join(await temporaryDirectory(t), 'tidegate.yaml')
  await writeFile(
    file,
    `sources:
  - { name: broker, type: mqtt-broker, listen: "127.0.0.1:1883" }
  - { name: house, type: mqtt-client, url: "http://u:hunter2@192.168.1.2", topics: ["#"] }
  - { name: barn, type: mqtt-client, url: "mqtts://192.168.1.3", topics: ["#"], tls: { ca: /nonexistent/ca.pem } }
  - { name: bus, type: modbus, profile: sdm120 }
  - { name: meter, type: serial, path: /dev/ttyUSB0, profile: dsrm }
`,
  )
  const { code, err } = await check(file)
  t.equal(code, 2)
  t.notMatch(err, /hunter2/)
  t.match(err.trimEnd().split('\n'), [
    /tidegate\.yaml:3:5: sources\[house\]\.url must begin with mqtt:\/\/ or mqtts:\/\//,
    /tidegate\.yaml:4:5: sources\[barn\]\.tls\.ca: \/nonexistent\/ca\.pem cannot be read/,
    /tidegate\.yaml:5:5: sources\[bus\]: needs one of path/,
    /tidegate\.yaml:6:63: sources\[meter\] names the profile dsrm/,
  ])
})
