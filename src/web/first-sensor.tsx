// What the page says while there is no device yet: how to send a first value, with this gateway's own address.

import type { StatusReport } from '../core/status.ts'
import { brokerHost } from './broker-host.ts'
import { type Cell, useCell } from './cell.ts'
import type { StatusSeen } from './status-poll.ts'

export const FirstSensor = ({ status }: { readonly status: Cell<StatusSeen | undefined> }) => {
  const seen = useCell(status)
  const broker = brokerHost(brokerAddress(seen?.report), location.hostname)
  return (
    <div class="panel first">
      <h3>No sensor has spoken yet</h3>
      {broker === undefined ? (
        <p>
          Values appear here as soon as a source delivers some. No MQTT broker listens on this gateway; add a source of
          type <code>mqtt-broker</code> to accept sensors directly.
        </p>
      ) : (
        <>
          <p>
            Point a sensor at this gateway’s MQTT broker, or try it from a terminal
            {broker.localOnly && ' on the gateway itself'}:
          </p>
          <pre>
            <code>
              mosquitto_pub -h {broker.host} -p {broker.port} -q 1 -t sensors/greenhouse/temperature -m 21.5
            </code>
          </pre>
          <p>The value appears here within a second, without a reload.</p>
          {broker.localOnly && (
            <p class="note">
              The broker accepts connections from the gateway itself only. To let sensors in from the network, set{' '}
              <code>listen: 0.0.0.0:{broker.port}</code> on the source, and give it users.
            </p>
          )}
        </>
      )}
    </div>
  )
}

const brokerAddress = (report: StatusReport | undefined): string | undefined => {
  const address = report?.sources.find((source) => source.type === 'mqtt-broker')?.detail?.['address']
  return typeof address === 'string' ? address : undefined
}
