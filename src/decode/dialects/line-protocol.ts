// The dialect 'line-protocol': InfluxDB line protocol, one point a line. The device is a series, the names are its fields. A
// line that is none is a fault with its number; the others count. Times of clocks that were never set are left out.

import type { Reading } from '../../core/contract.ts'
import type { DecoderPlugin } from '../../core/plugin-contract.ts'
import { parseLines } from '../line-protocol.ts'
import { payloadText } from '../payload.ts'
import { isPrecision, POINT_NAMING, type PointNaming, readingsOfPoint } from '../point-readings.ts'

/** As the schema accepted them. */
type Options = Partial<PointNaming> & { readonly precision?: string }

export const plugin: DecoderPlugin = {
  kind: 'decoder',
  type: 'line-protocol',
  schema: {
    description: 'InfluxDB line protocol',
    properties: {
      device: {
        type: 'string',
        minLength: 1,
        maxLength: 256,
        default: POINT_NAMING.device,
        description: 'Template of the device: {measurement}, {tags} (values in the order of their names), {tag.NAME}',
      },
      name: {
        type: 'string',
        minLength: 1,
        maxLength: 256,
        default: POINT_NAMING.name,
        description: 'Template of the name: {field}, {measurement}, {tag.NAME}',
      },
      precision: {
        enum: ['ns', 'us', 'ms', 's', 'm', 'h'],
        description: 'Unit of the timestamps; else what {precision} of the topic says; else ns',
      },
    },
  },
  create: (options) => {
    const { device = POINT_NAMING.device, name = POINT_NAMING.name, precision } = options as Options
    const naming = { device, name }
    return {
      severalDevices: true,
      decode: (message) => {
        const { points, faults, faultCount } = parseLines(payloadText(message.payload))
        const stated = precision ?? message.captures.get('precision') ?? 'ns'
        const unit = isPrecision(stated) ? stated : 'ns'
        const readings: Reading[] = points.flatMap((point) => readingsOfPoint(point, naming, unit, message.device))
        const [first] = faults
        if (first === undefined) return { readings }
        const others = faultCount === 1 ? '' : ` (and ${faultCount - 1} more lines)`
        return { readings, fault: `line ${first.line}: ${first.reason}${others}` }
      },
    }
  },
}
