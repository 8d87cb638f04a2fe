// A metric: a value of each person under a name, defined as a condition on their events is, without the comparison. Rules
// compare it (`k: "computed"`). domain/segments/parse-metrics.ts checks one with errors that name the path of a fault.
import Type, { type Static } from 'typebox'
import { AggNode, PickNode, TimeNode } from './rule.ts'

const { op: _aggOp, value: _aggValue, ...agg } = AggNode.properties
const { op: _pickOp, value: _pickValue, ...pick } = PickNode.properties
const { op: _timeOp, ago: _timeAgo, ...time } = TimeNode.properties
const closed = { additionalProperties: false }

export const MetricDefinition = Type.Union([
  Type.Object(agg, { ...closed, description: 'How often, how much, on how many days, over how many days' }),
  Type.Object(pick, { ...closed, description: 'A property of the first or last event' }),
  Type.Object(time, { ...closed, description: 'Days since the first or last event, to the millisecond' }),
])
export type MetricDefinition = Static<typeof MetricDefinition>
