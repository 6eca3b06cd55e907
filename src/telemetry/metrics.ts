/** Values by label name; every label of the metric must be given. */
export type Labels = Readonly<Record<string, string>>

export interface Counter {
  inc(labels?: Labels, by?: number): void
  /** The counter of these labels alone, for paths so hot that writing them each time would show. */
  series(labels: Labels): CounterSeries
}

export interface CounterSeries {
  inc(by?: number): void
}

export interface Gauge {
  set(value: number, labels?: Labels): void
}

export interface Histogram {
  /** Times are in seconds. */
  observe(value: number, labels?: Labels): void
}

export interface MetricOptions {
  /** Synapse's name where it means the same, so that dashboards keep working. */
  readonly name: string
  readonly help: string
}

/** Where the parts of the server count what they do. Asking twice for one name gives the same metric. */
export interface Metrics {
  counter(options: MetricOptions): Counter
  gauge(options: MetricOptions): Gauge
  histogram(options: MetricOptions & { readonly buckets?: readonly number[] }): Histogram
  /** A gauge whose value is asked for when somebody looks. */
  observed(options: MetricOptions, read: () => Iterable<readonly [Labels, number]>): void
  /** All metrics in Prometheus' text format. */
  render(): Promise<string>
}

export interface MetricsOptions {
  /** Adds Node's own metrics (event loop, garbage collection, memory); the library for them is loaded at the first look. */
  readonly processMetrics?: boolean
}

/** Upper bounds in seconds, for things that take from a tenth of a millisecond to a minute. */
const TIME_BUCKETS: readonly number[] = [
  0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
]

/** A registry in memory. Counting costs a map look-up; nothing is computed until `render()`. */
export function createMetrics(options: MetricsOptions = {}): Metrics {
  return new MetricsRegistry(options)
}

interface Metric {
  readonly kind: 'counter' | 'gauge' | 'histogram' | 'observed'
  readonly help: string
  /** Lines of samples. */
  lines(name: string): Iterable<string>
}

class MetricsRegistry implements Metrics {
  readonly #metrics = new Map<string, Metric>()
  #processMetrics: Promise<() => Promise<string>> | undefined
  readonly #withProcessMetrics: boolean

  constructor(options: MetricsOptions) {
    this.#withProcessMetrics = options.processMetrics ?? false
  }

  counter({ name, help }: MetricOptions): Counter {
    return this.#add(name, () => new SampleSet('counter', help))
  }

  gauge({ name, help }: MetricOptions): Gauge {
    return this.#add(name, () => new SampleSet('gauge', help))
  }

  histogram(options: MetricOptions & { readonly buckets?: readonly number[] }): Histogram {
    const { name, help, buckets = TIME_BUCKETS } = options
    return this.#add(name, () => new BucketSet(help, buckets))
  }

  observed({ name, help }: MetricOptions, read: () => Iterable<readonly [Labels, number]>): void {
    this.#add(name, () => new ObservedSet(help)).readers.push(read)
  }

  async render(): Promise<string> {
    const blocks: string[] = []
    for (const [name, metric] of this.#metrics) {
      const help = metric.help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
      blocks.push(
        `# HELP ${name} ${help}`,
        `# TYPE ${name} ${metric.kind === 'observed' ? 'gauge' : metric.kind}`,
        ...metric.lines(name),
      )
    }
    const own = blocks.length > 0 ? `${blocks.join('\n')}\n` : ''
    if (!this.#withProcessMetrics) return own
    this.#processMetrics ??= loadProcessMetrics()
    return own + (await (await this.#processMetrics)())
  }

  /** The metric of this name; it must be of the kind that `make` makes. */
  #add<T extends Metric>(name: string, make: () => T): T {
    const made = make()
    const known = this.#metrics.get(name)
    if (known === undefined) {
      this.#metrics.set(name, made)
      return made
    }
    if (known.kind !== made.kind) throw new Error(`The metric ${name} exists as a ${known.kind}`)
    return known as T
  }
}

class SampleSet implements Metric, Counter, Gauge {
  readonly kind: 'counter' | 'gauge'
  readonly help: string
  readonly #samples = new Map<string, Sample>()

  constructor(kind: 'counter' | 'gauge', help: string) {
    this.kind = kind
    this.help = help
  }

  inc(labels?: Labels, by = 1): void {
    this.#sample(labels).inc(by)
  }

  series(labels: Labels): CounterSeries {
    return this.#sample(labels)
  }

  set(value: number, labels?: Labels): void {
    this.#sample(labels).value = value
  }

  *lines(name: string): Iterable<string> {
    for (const [labels, { value }] of this.#samples) yield sample(name, labels, value)
  }

  #sample(labels: Labels | undefined): Sample {
    const key = labelText(labels)
    let known = this.#samples.get(key)
    if (known === undefined) this.#samples.set(key, (known = new Sample()))
    return known
  }
}

class Sample implements CounterSeries {
  value = 0

  inc(by = 1): void {
    this.value += by
  }
}

class BucketSet implements Metric, Histogram {
  readonly kind = 'histogram'
  readonly help: string
  readonly #bounds: readonly number[]
  readonly #series = new Map<string, { counts: number[]; sum: number; count: number }>()

  constructor(help: string, bounds: readonly number[]) {
    this.help = help
    this.#bounds = bounds
  }

  observe(value: number, labels?: Labels): void {
    const key = labelText(labels)
    let series = this.#series.get(key)
    if (series === undefined) {
      series = { counts: this.#bounds.map(() => 0), sum: 0, count: 0 }
      this.#series.set(key, series)
    }
    series.sum += value
    series.count++
    const index = this.#bounds.findIndex((bound) => value <= bound)
    if (index >= 0) series.counts[index] = (series.counts[index] ?? 0) + 1
  }

  *lines(name: string): Iterable<string> {
    for (const [labels, series] of this.#series) {
      const prefix = labels === '' ? '' : `${labels},`
      let total = 0
      for (const [index, bound] of this.#bounds.entries()) {
        total += series.counts[index] ?? 0
        yield sample(`${name}_bucket`, `${prefix}le="${bound}"`, total)
      }
      yield sample(`${name}_bucket`, `${prefix}le="+Inf"`, series.count)
      yield sample(`${name}_sum`, labels, series.sum)
      yield sample(`${name}_count`, labels, series.count)
    }
  }
}

class ObservedSet implements Metric {
  readonly kind = 'observed'
  readonly help: string
  readonly readers: (() => Iterable<readonly [Labels, number]>)[] = []

  constructor(help: string) {
    this.help = help
  }

  *lines(name: string): Iterable<string> {
    for (const read of this.readers) {
      for (const [labels, value] of read()) yield sample(name, labelText(labels), value)
    }
  }
}

function labelText(labels: Labels | undefined): string {
  if (labels === undefined) return ''
  let text = ''
  for (const [name, value] of Object.entries(labels)) {
    const escaped = /["\\\n]/.test(value)
      ? value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
      : value
    text += `${text === '' ? '' : ','}${name}="${escaped}"`
  }
  return text
}

function sample(name: string, labels: string, value: number): string {
  return labels === '' ? `${name} ${value}` : `${name}{${labels}} ${value}`
}

async function loadProcessMetrics(): Promise<() => Promise<string>> {
  // Of a package in CommonJS that is loaded later, the built program has nothing but the default.
  const { default: client } = await import('prom-client')
  const register = new client.Registry()
  client.collectDefaultMetrics({ register })
  return () => register.metrics()
}
