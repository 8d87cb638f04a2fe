// Traces (OpenTelemetry): one event followed from its request through every queue, for a sample of the requests. Off unless
// MILLRACE_TRACES_PER_MILLION says otherwise; then the SDK is loaded here, and sent to by OTLP over HTTP. A group of jobs that
// share one flush goes on in the trace of the job that opened the group.
import type { Telemetry } from 'bullmq'
import type { Config } from '../runtime/config.ts'

export type Tracing = {
  /** For BullMQ's queues and workers: a span an add and a job, the trace handed on in the job. */
  telemetry: Telemetry
  /** Runs `work` in a span of its own: the beginning of a trace, if it is one of the sample. */
  span<T>(name: string, work: () => Promise<T>): Promise<T>
  /** Sends what is left. */
  close(): Promise<void>
}

/** Undefined when no request is to be traced. `service` names the process by its pools. */
export async function openTracing(
  config: Config,
  service: { name: string; version: string },
): Promise<Tracing | undefined> {
  if (config.tracesPerMillion === 0) return undefined
  const [{ SpanStatusCode, trace }, { BullMQOtel }, { OTLPTraceExporter }, { resourceFromAttributes }, sdk] =
    await Promise.all([
      import('@opentelemetry/api'),
      import('bullmq-otel'),
      import('@opentelemetry/exporter-trace-otlp-http'),
      import('@opentelemetry/resources'),
      import('@opentelemetry/sdk-trace-node'),
    ])
  const url = new URL('v1/traces', `${config.otlpEndpoint.replace(/\/$/, '')}/`).toString()
  const provider = new sdk.NodeTracerProvider({
    resource: resourceFromAttributes({
      'service.name': `millrace-${service.name}`,
      'service.namespace': config.namespace,
      'service.version': service.version,
    }),
    // The request decides; every pool after it follows.
    sampler: new sdk.ParentBasedSampler({
      root: new sdk.TraceIdRatioBasedSampler(config.tracesPerMillion / 1_000_000),
    }),
    spanProcessors: [new sdk.BatchSpanProcessor(new OTLPTraceExporter({ url }))],
  })
  provider.register()
  const tracer = trace.getTracer('millrace', service.version)
  return {
    telemetry: new BullMQOtel({ tracerName: 'millrace', version: service.version }),
    span: (name, work) =>
      tracer.startActiveSpan(name, async (span) => {
        try {
          return await work()
        } catch (error) {
          // Never the text of the error: it may quote what was sent.
          span.setStatus({ code: SpanStatusCode.ERROR })
          throw error
        } finally {
          span.end()
        }
      }),
    close: () => provider.shutdown().catch(() => {}),
  }
}
