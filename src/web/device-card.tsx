// One device: its values with unit and age, whether it is stale, its faults. A card renders when its own device changes,
// a row when its own reading does. Names and values are text nodes, each in a bidi isolate.

import { Component } from 'preact'
import { Age } from './age.tsx'
import type { Device } from './device-store.ts'
import { countOf, digitGroups, numberText, shortText, titleText } from './format.ts'
import { ProfileDraftButton } from './profile-draft.tsx'
import type { DeviceInfo, DoubtfulValue, Reading } from './protocol.ts'
import { matchingNames } from './search.ts'
import { humanUnit } from './units.ts'

/** What is longer, unit included, gets a line of its own on a phone. */
const NARROW_CHARACTERS = 10
/** What is longer than this gets one everywhere. */
const WIDE_CHARACTERS = 18

const rowClass = (characters: number): string => {
  if (characters > WIDE_CHARACTERS) return 'row long'
  return characters > NARROW_CHARACTERS ? 'row wide' : 'row'
}

const QUALITY_TEXT = {
  unsynced: 'the clock had not been set',
  corrected: 'corrected when the clock was set',
} as const

const DOUBT_TEXT = { faulty: 'now faulty', 'out-of-range': 'now out of range' } as const

export interface DeviceCardProps {
  readonly device: Device
  readonly words: readonly string[]
}

export class DeviceCard extends Component<DeviceCardProps, { readonly version: number }> {
  override state = { version: this.props.device.version.value }
  #unsubscribe: (() => void) | undefined

  override componentDidMount(): void {
    const { version } = this.props.device
    this.#unsubscribe = version.subscribe(() => this.setState({ version: version.value }))
    this.setState({ version: version.value })
  }

  override componentWillUnmount(): void {
    this.#unsubscribe?.()
  }

  override shouldComponentUpdate(next: Readonly<DeviceCardProps>, state: { readonly version: number }): boolean {
    return state.version !== this.state.version || next.words !== this.props.words
  }

  override render() {
    const { device, words } = this.props
    const { info } = device
    return (
      <li class={info?.stale === true ? 'card stale' : 'card'}>
        <article aria-label={titleText(device.name)}>
          <DeviceName name={device.name} />
          {info !== undefined && (info.stale || info.profile !== 'generic') && (
            <p class="about">
              {info.stale && <Stale info={info} />}
              {info.profile !== 'generic' && <span title="Device profile">{info.profile}</span>}
            </p>
          )}
          <dl>
            {matchingNames(device, words).map((name) => (
              <ValueRow key={name} reading={device.readings.get(name)} quality={device.doubt(name)?.quality} />
            ))}
          </dl>
          {info?.profile === 'generic' && <ProfileDraftButton device={device.name} />}
          {info !== undefined && info.faults > 0 && <Faults count={info.faults} last={info.lastFault} />}
        </article>
      </li>
    )
  }
}

/** The last level of a topic tells devices apart: it is the one that is kept when space is short. */
const DeviceName = ({ name }: { readonly name: string }) => {
  const split = name.lastIndexOf('/', name.length - 2) + 1
  return (
    <h3 dir="auto" title={titleText(name)}>
      {split > 0 && <span class="path">{shortText(name.slice(0, split))}</span>}
      <span>{shortText(name.slice(split))}</span>
    </h3>
  )
}

/** Offline is known, overdue is a guess: the words differ. */
const Stale = ({ info }: { readonly info: DeviceInfo }) => {
  const { lastHeard, presenceSince, staleReason } = info
  if (staleReason !== 'offline') {
    return (
      <span class="badge warn">
        stale, last heard <Age timeMs={Date.parse(lastHeard)} /> ago
      </span>
    )
  }
  return (
    <span class="badge bad">
      offline{' '}
      {presenceSince !== undefined && (
        <>
          for <Age timeMs={Date.parse(presenceSince.time)} />
        </>
      )}
    </span>
  )
}

interface ValueRowProps {
  readonly reading: Reading | undefined
  /** Of what came after it. */
  readonly quality: DoubtfulValue['quality'] | undefined
}

class ValueRow extends Component<ValueRowProps> {
  override shouldComponentUpdate(next: Readonly<ValueRowProps>): boolean {
    return next.reading !== this.props.reading || next.quality !== this.props.quality
  }

  override render() {
    const { reading, quality } = this.props
    if (reading === undefined) return null
    const { name, value, unit = '', time, timeQuality } = reading
    const shown = typeof value === 'number' ? numberText(value) : String(value)
    return (
      <div class={rowClass(shown.length + unit.length + (quality === undefined ? 0 : DOUBT_TEXT[quality].length))}>
        <dt title={titleText(name)}>
          <bdi>{shortText(name)}</bdi>
        </dt>
        <dd class="value" title={titleText(String(value))}>
          <Value value={value} shown={shown} />
          <Unit unit={unit} />
          {quality !== undefined && (
            <>
              {' '}
              <span class="badge warn" title="The last good value is shown; what came after it cannot be right">
                {DOUBT_TEXT[quality]}
              </span>
            </>
          )}
        </dd>
        <dd class="when">
          <Age
            timeMs={Date.parse(time)}
            title={timeQuality === undefined ? time : `${time} (${QUALITY_TEXT[timeQuality]})`}
          />
        </dd>
      </div>
    )
  }
}

const Value = ({ value, shown }: { readonly value: Reading['value']; readonly shown: string }) => {
  if (typeof value === 'boolean') return <span class={value ? 'switch on' : 'switch'}>{value ? 'on' : 'off'}</span>
  if (typeof value === 'string') return <bdi class="text">{shortText(shown)}</bdi>
  const groups = digitGroups(shown)
  // The gaps between groups are the style sheet's: what is copied is the number.
  return <data value={String(value)}>{groups.length === 1 ? groups : groups.map((group) => <span>{group}</span>)}</data>
}

const Unit = ({ unit }: { readonly unit: string }) => {
  const text = humanUnit(unit)
  if (text === '') return null
  return (
    <span class="unit" title={unit === text ? undefined : titleText(unit)}>
      {' '}
      <bdi>{shortText(text)}</bdi>
    </span>
  )
}

interface FaultsProps {
  readonly count: number
  readonly last: { readonly time: string; readonly reason: string } | undefined
}

const Faults = ({ count, last }: FaultsProps) => (
  <p class="faults">
    <span class="badge bad">{countOf(count, 'fault')}</span>{' '}
    {last !== undefined && (
      <>
        <bdi class="fault-reason" title={titleText(last.reason)}>
          {shortText(last.reason)}
        </bdi>{' '}
        <Age timeMs={Date.parse(last.time)} />
      </>
    )}
  </p>
)
