// Every metric of tidegate: its name without the prefix, kind, help and labels. A name that is not here is not exported.

export interface MetricDefinition {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  readonly help: string
  readonly labels?: readonly Label[]
  /** Values of the only label that are shown as 0 from the start, so that the first one is seen as a change. */
  readonly known?: readonly string[]
  readonly buckets?: readonly number[]
}

/** Labels have few values by nature: names in the configuration, profiles, and closed lists of reasons. Never a device. */
export type Label = 'source' | 'sink' | 'profile' | 'reason'

/** What cannot be decoded, and what a filter leaves out, stays in the log and is no loss. */
const LOSS_REASONS = ['retention', 'thinned', 'corrupt', 'unclean-stop', 'refused', 'rejected'] as const
/** From a fast disk (0.1 ms) to a card that hangs (10 s). */
const COMMIT_SECONDS = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10] as const
/** From a broker on the same machine to one that is about to stall. */
const WRITE_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const

export const metricTable: Readonly<Record<string, MetricDefinition>> = {
  messages_received_total: { kind: 'counter', help: 'Messages that sources handed to the log', labels: ['source'] },
  messages_durable_total: { kind: 'counter', help: 'Messages that became durable in the log' },
  lost_messages_total: {
    kind: 'counter',
    help: 'Messages that will never be delivered',
    labels: ['reason'],
    known: LOSS_REASONS,
  },
  log_bytes: { kind: 'gauge', help: 'Size of the log on disk' },
  log_written_bytes_total: {
    kind: 'counter',
    help: 'Bytes handed to write(2) for the log, headers and filling included',
  },
  log_payload_bytes_total: { kind: 'counter', help: 'Payload bytes that became durable in the log' },
  log_physical_bytes_total: {
    kind: 'counter',
    help: 'What the disk writes for the log, by estimate: whole pages, and the records of the file system',
  },
  log_commit_seconds: { kind: 'histogram', help: 'Duration of one write and fdatasync', buckets: COMMIT_SECONDS },
  log_refusing: { kind: 'gauge', help: '1 while the log takes nothing and acknowledges nothing, else 0' },
  log_damages_total: { kind: 'counter', help: 'Damaged files and byte ranges of the log that were found' },
  log_quarantine_dropped_bytes_total: {
    kind: 'counter',
    help: 'Damaged bytes that were removed from quarantine to make room',
  },
  decode_faults_total: { kind: 'counter', help: 'Payloads that could not be decoded', labels: ['profile'] },
  sink_backlog_messages: { kind: 'gauge', help: 'Messages that the sink has not settled', labels: ['sink'] },
  sink_confirmed_messages_total: { kind: 'counter', help: 'Messages confirmed by the upstream', labels: ['sink'] },
  sink_confirmed_readings_total: { kind: 'counter', help: 'Readings confirmed by the upstream', labels: ['sink'] },
  sink_rejected_messages_total: {
    kind: 'counter',
    help: 'Messages that the upstream will never take',
    labels: ['sink'],
  },
  sink_retries_total: { kind: 'counter', help: 'Connections and writes that were tried again', labels: ['sink'] },
  sink_refused_messages_total: {
    kind: 'counter',
    help: 'Messages that the upstream did not take for now, and that were sent again',
    labels: ['sink'],
  },
  sink_dead_letters_total: { kind: 'counter', help: 'Rejected messages that were set aside', labels: ['sink'] },
  sink_dead_letters_dropped_total: {
    kind: 'counter',
    help: 'Dead letters that were removed to make room for newer ones',
    labels: ['sink'],
  },
  sink_unheard_loss_notes_total: {
    kind: 'counter',
    help: 'Notes about losses for which no queue is bound upstream',
    labels: ['sink'],
  },
  sink_cursor_flushes_total: { kind: 'counter', help: 'Times a cursor was made durable', labels: ['sink'] },
  sink_write_seconds: {
    kind: 'histogram',
    help: 'Duration of one write to the upstream, confirms included',
    labels: ['sink'],
    buckets: WRITE_SECONDS,
  },
  forward_thread_deaths_total: {
    kind: 'counter',
    help: 'Times the forward thread ended unasked and was started again',
  },
  mqtt_connections: { kind: 'gauge', help: 'MQTT clients that are connected', labels: ['source'] },
  mqtt_refused_total: {
    kind: 'counter',
    help: 'MQTT connections and packets that were refused',
    labels: ['source', 'reason'],
  },
  mqtt_sessions_dropped_total: {
    kind: 'counter',
    help: 'Sessions of absent MQTT clients that were given up to make room',
    labels: ['source'],
  },
  mqtt_offline_dropped_total: {
    kind: 'counter',
    help: 'Messages for absent MQTT subscribers that were dropped because their queue was full',
    labels: ['source'],
  },
  mqtt_slow_dropped_total: {
    kind: 'counter',
    help: 'Messages for connected MQTT subscribers that were dropped because they take them too slowly',
    labels: ['source'],
  },
  mqtt_retransmissions_total: {
    kind: 'counter',
    help: 'QoS 2 PUBLISH packets that were recognised as sent before and not stored again',
    labels: ['source'],
  },
  mqtt_client_refused_total: {
    kind: 'counter',
    help: 'Messages of another broker that the log cannot take: too large, or with a topic that is none',
    labels: ['source', 'reason'],
  },
  sink_commands_total: {
    kind: 'counter',
    help: 'Commands that came from the upstream, by what became of them',
    labels: ['sink', 'reason'],
  },
  source_loops_total: {
    kind: 'counter',
    help: 'Times that the messages of a source were found to come in through another one, too',
    labels: ['source'],
  },
  mqtt_client_retries_total: {
    kind: 'counter',
    help: 'Connections to another broker that failed or ended',
    labels: ['source'],
  },
  mqtt_client_sessions_lost_total: {
    kind: 'counter',
    help: 'Times that another broker had forgotten the session, and what it kept in it',
    labels: ['source'],
  },
  mqtt_checkpoint_failures_total: {
    kind: 'counter',
    help: 'Times the state of MQTT sessions could not be saved',
    labels: ['source'],
  },
  commands_total: {
    kind: 'counter',
    help: 'Commands to devices: sent, or the code of what was in the way',
    labels: ['reason'],
    known: ['sent'],
  },
  devices_stale: { kind: 'gauge', help: 'Devices that are offline or overdue' },
  modbus_requests_total: { kind: 'counter', help: 'Requests to Modbus devices', labels: ['source'] },
  modbus_errors_total: {
    kind: 'counter',
    help: 'Requests to Modbus devices that failed (exception, silent, damaged, port), and answers nobody waited for (stray)',
    labels: ['source', 'reason'],
  },
  modbus_skipped_polls_total: {
    kind: 'counter',
    help: 'Turns of Modbus devices that were left out or not kept because the log took nothing',
    labels: ['source'],
  },
  descriptions_evicted_total: {
    kind: 'counter',
    help: 'Messages that tell about others (births, discovery) which were forgotten because there were too many',
  },
  descriptions_writes_total: {
    kind: 'counter',
    help: 'Times that what messages told about others was written beside the log',
  },
  device_requests_total: {
    kind: 'counter',
    help: 'Requests to devices that their messages called for (a rebirth): sent, failed, or too soon after the last',
    labels: ['reason'],
  },
  serial_faults_total: {
    kind: 'counter',
    help: 'Bytes of a serial line that were no frame: too long, cut off, malformed, or noise between frames',
    labels: ['source', 'reason'],
  },
  serial_closings_total: {
    kind: 'counter',
    help: 'Times that an open serial port was given up: unplugged, replaced by another device, silent, or stuck',
    labels: ['source', 'reason'],
  },
  live_evicted_total: {
    kind: 'counter',
    help: 'Devices and values that the live view forgot because there were too many',
    labels: ['reason'],
  },
  api_buffered_bytes: { kind: 'gauge', help: 'Bytes that wait for subscribers to take them' },
  api_conflated_messages_total: {
    kind: 'counter',
    help: 'Messages to slow subscribers that hold the newest values instead of all',
  },
  api_refused_total: { kind: 'counter', help: 'Requests that were refused, by error code', labels: ['reason'] },
  api_stalled_streams_total: { kind: 'counter', help: 'Subscribers that took nothing for too long and were cut off' },
  logger_dropped_lines_total: { kind: 'counter', help: 'Log lines that standard error did not take' },
  clock_marks_total: { kind: 'counter', help: 'Times that the wall clock was set or stepped', labels: ['reason'] },
  clock_synced: { kind: 'gauge', help: '1 once the wall clock has been set, else 0' },
}
