// Entry of the dashboard: builds the store, the connection and the poll, wires them, and renders the page.

import { render } from 'preact'
import { refreshAges, setClockOffset, startAges } from './age.tsx'
import { App } from './app.tsx'
import { Cell } from './cell.ts'
import { Connection, type ConnectionState, type Missed } from './connection.ts'
import { DeviceStore } from './device-store.ts'
import { Drafts, draftsFrom } from './profile-draft.tsx'
import { StatusPoll, type StatusSeen } from './status-poll.ts'

/** Should a difference never go away, this is what it costs: one snapshot. */
const REFRESH_INTERVAL_MS = 60_000

const base = new URL('api/v1/', document.baseURI)
const liveUrl = new URL('live', base)
liveUrl.protocol = base.protocol === 'https:' ? 'wss:' : 'ws:'

const store = new DeviceStore((work) => void requestAnimationFrame(work))
const state = new Cell<ConnectionState>({ phase: 'connecting', sinceMs: Date.now() })
const gateway = new Cell('')
const status = new Cell<StatusSeen | undefined>(undefined)
const missed = new Cell<Missed | undefined>(undefined)

const connection = new Connection(liveUrl.href, state, {
  onGateway: (name) => gateway.set(name),
  onReadings: (readings) => {
    store.apply(readings)
    if (!store.overflowing) return
    store.clear()
    connection.refresh()
  },
  onReset: () => {
    store.clear()
    status.set(undefined)
    missed.set(undefined)
  },
  onMissed: (more) => missed.set({ messages: (missed.value?.messages ?? 0) + more.messages, reason: more.reason }),
})

const poll = new StatusPoll({
  base,
  token: () => connection.token,
  wanted: () => state.value.phase === 'live' && !document.hidden,
  status,
  onDevices: (devices) => store.describe(devices),
})

status.subscribe(() => setClockOffset(status.value?.clockOffsetMs ?? 0))

// A gateway that has just started goes on reading its log while it answers; what it finds there reaches nobody by itself.
// Had it more values at the last look than the page has now, the page takes them all anew.
let expectedValues = 0
let refreshedMs = Number.NEGATIVE_INFINITY
status.subscribe(() => {
  const nowMs = performance.now()
  if (store.valueCount < expectedValues && nowMs - refreshedMs > REFRESH_INTERVAL_MS) {
    refreshedMs = nowMs
    connection.refresh()
  }
  expectedValues = status.value?.report.live.values ?? 0
})
// Values that were shown by a clock that had not been set have other times once it is; they do not come by themselves either.
let wasSynced = true
status.subscribe(() => {
  const synced = status.value?.report.clock.synced ?? wasSynced
  if (synced && !wasSynced) connection.refresh()
  wasSynced = synced
})
state.subscribe(() => {
  if (state.value.phase === 'live') poll.now()
})
const wake = () => {
  if (document.hidden) return
  connection.wake()
  poll.now()
  refreshAges()
}
document.addEventListener('visibilitychange', wake)
window.addEventListener('pageshow', wake)
window.addEventListener('online', wake)

const root = document.getElementById('app')
if (root === null) throw new Error('index.html has no #app')
render(
  <Drafts.Provider value={draftsFrom(base, () => connection.token)}>
    <App
      store={store}
      state={state}
      gateway={gateway}
      status={status}
      missed={missed}
      onToken={(token) => connection.unlock(token)}
    />
  </Drafts.Provider>,
  root,
)
startAges()
connection.start()
