// The configuration that `tidegate init` writes: every key with its default, and the common additions ready to uncomment.

export const template = (gatewayId: string, schema: string): string => `# yaml-language-server: $schema=${schema}
#
# Configuration of tidegate. What is written here are the defaults, unless a comment says otherwise.
# 'tidegate check' validates this file. Durations (250ms, 10s, 5m, 1h, 30d) and sizes (64KiB, 1GiB) have units.
# Keep secrets out of it: \${NAME} takes an environment variable, \${file:PATH} a file, \${credential:NAME} a systemd credential.

gateway:
  # Names this gateway upstream: in message ids, headers and routing keys.
  id: ${gatewayId}
  # Where the log and everything else is kept. Default: $STATE_DIRECTORY, else $XDG_STATE_HOME/tidegate.
  # data: /var/lib/tidegate
  # How long after the start messages wait to go upstream when the clock of this machine has not been set yet.
  clockWait: 60s
  # Further directories of device profiles.
  devices: []

log:
  # How long a message may wait for company before the fsync that it is acknowledged after.
  commitDelay: 10ms
  # What is kept, whichever limit is reached first.
  maxBytes: 1GiB
  maxAge: 30d
  # Free space of the file system below which messages are refused.
  minFree: 256MiB
  # At maxBytes, with messages that no sink has settled yet: dropOldest, or refuse new ones.
  whenFull: dropOldest
  # Before the oldest messages go for want of room, old ones are thinned as you say here, so that a device that talks much
  # does not push out one that talks little. For each topic, the newest so many of each step of time stay; the first policy
  # that matches decides, and what none matches is not thinned. Without policies nothing is.
  keep: []
  # keep:
  #   - { topic: "vibration/#", per: 1m }
  #   - { device: "weather/+", newest: 2, per: 10m }

api:
  # Dashboard, REST, WebSocket, metrics. Beyond this machine only with tokens.
  listen: 127.0.0.1:8080
  # tls: { cert: server.crt, key: server.key }
  # Who may use it: tokens are kept as sha256: and what 'printf %s "$TOKEN" | sha256sum' says.
  tokens: []
  # Browser origins besides its own.
  origins: []

sources:
  # The MQTT broker that sensors publish to.
  - name: broker
    type: mqtt-broker
    listen: 127.0.0.1:1883
    maxPacketBytes: 256KiB

sinks: []
  # Remove the [] above and uncomment what you have.
  #
  # RabbitMQ, or any other AMQP 0-9-1 broker:
  # - name: cloud
  #   type: amqp
  #   url: amqps://gateway:\${AMQP_PASSWORD}@rabbitmq.example.com
  #   exchange: telemetry
  #   routingKey: telemetry.{gateway}.{device}
  #   batch: { maxReadings: 500, maxDelay: 250ms }
  #
  # Any AMQP 1.0 broker or receiver:
  # - name: hub
  #   type: amqp1
  #   url: amqp://127.0.0.1:5672
  #   address: telemetry
`
