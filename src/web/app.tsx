// The page: header, sign-in or overview. Renders again only when devices come, the search changes or a status arrives;
// values render in their own cards.

import { useEffect, useMemo, useState } from 'preact/hooks'
import { type Cell, useCell } from './cell.ts'
import type { ConnectionState, Missed } from './connection.ts'
import { DeviceCard } from './device-card.tsx'
import type { Device, DeviceStore } from './device-store.ts'
import { FaultBoundary } from './fault-boundary.tsx'
import { FirstSensor } from './first-sensor.tsx'
import { countOf } from './format.ts'
import { GatewayPanel } from './gateway-panel.tsx'
import { Header } from './header.tsx'
import { matchesSearch, searchWords } from './search.ts'
import { SignIn } from './sign-in.tsx'
import type { StatusSeen } from './status-poll.ts'
import { Summary } from './summary.tsx'

export interface AppProps {
  readonly store: DeviceStore
  readonly state: Cell<ConnectionState>
  readonly gateway: Cell<string>
  readonly status: Cell<StatusSeen | undefined>
  readonly missed: Cell<Missed | undefined>
  onToken(token: string): void
}

export const App = (props: AppProps) => {
  const state = useCell(props.state)
  const gateway = useCell(props.gateway)
  const [search, setSearch] = useState('')
  useEffect(() => {
    const page = gateway === '' ? 'tidegate' : `${gateway} – tidegate`
    document.title = state.phase === 'reconnecting' ? `reconnecting: ${page}` : page
  }, [gateway, state.phase])
  return (
    <>
      <a class="skip" href="#devices">
        Skip to the devices
      </a>
      <Header gateway={gateway} state={state} search={search} onSearch={setSearch} />
      {state.phase === 'locked' ? (
        <SignIn reason={state.reason} onToken={props.onToken} />
      ) : (
        <Overview {...props} search={search} />
      )}
    </>
  )
}

interface OverviewProps extends AppProps {
  readonly search: string
}

const Overview = ({ store, state, status, missed, search }: OverviewProps) => (
  <FaultBoundary>
    <main>
      <FaultBoundary>
        <Summary status={status} state={state} />
      </FaultBoundary>
      <Devices store={store} status={status} search={search} />
      <FaultBoundary>
        <GatewayPanel status={status} missed={missed} />
      </FaultBoundary>
    </main>
  </FaultBoundary>
)

const Devices = ({ store, status, search }: Pick<OverviewProps, 'store' | 'status' | 'search'>) => {
  const devices = useCell(store.devices)
  const known = useCell(store.known)
  const words = useMemo(() => searchWords(search), [search])
  const shown = words.length === 0 ? devices : devices.filter((device) => matchesSearch(device, words))
  return (
    <section id="devices" aria-labelledby="devices-title" tabIndex={-1}>
      <h2 id="devices-title">
        Devices <span class="note">{summary(devices, shown)}</span>
      </h2>
      {devices.length === 0 && known && <FirstSensor status={status} />}
      {devices.length > 0 && shown.length === 0 && (
        <p class="note">Nothing here has all of “{search.trim()}” in its name.</p>
      )}
      <ul class="cards">
        {shown.map((device) => (
          <DeviceCard key={device.name} device={device} words={words} />
        ))}
      </ul>
    </section>
  )
}

const summary = (devices: readonly Device[], shown: readonly Device[]): string => {
  if (devices.length === 0) return ''
  if (shown.length < devices.length) return `${shown.length} of ${countOf(devices.length, 'device')}`
  const values = devices.reduce((sum, device) => sum + device.readings.size, 0)
  return `${countOf(devices.length, 'device')}, ${countOf(values, 'value')}`
}
