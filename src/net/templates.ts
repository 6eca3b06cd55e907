import { join } from 'node:path'
import type { Environment } from 'nunjucks'
import { packageRoot } from '../util/package-root.js'

export interface TemplatesOptions {
  /** Looked through before the program's own templates, in this order: `templates.custom_template_directory`. */
  readonly customDirectories: readonly string[]
  /** `public_baseurl`, with a slash at its end: pictures in mails are fetched from there. */
  readonly publicBaseUrl: string
}

export type TemplateVariables = Readonly<Record<string, unknown>>

const CONTEXT_OF_INCLUDE = /(\{%-?\s*include\s+[^%]*?)\s+with(?:out)?\s+context/g
/** A part of a text or list, as Python writes it: `user_id[1:]`. */
const SLICE = /\[(-?\d*):(-?\d*)\](?=[^{}]*[%}]\})/g
/** Of templates' names: in these nothing is escaped. */
const PLAIN_TEXT = /\.(txt|css|js)$/

/**
 * Pages and mails, as Jinja templates with Synapse's names and variables, so that an operator's own templates go on
 * working. Values are escaped in HTML. Filters: `format_ts`, `mxc_to_http`, `localpart_from_email`.
 */
export class Templates {
  readonly #options: TemplatesOptions
  #environments: Promise<{ html: Environment; text: Environment }> | undefined

  constructor(options: TemplatesOptions) {
    this.#options = options
  }

  /** Renders a template by its file name. Rejects when there is none or it has a mistake. */
  async render(name: string, variables: TemplateVariables): Promise<string> {
    const { html, text } = await (this.#environments ??= this.#load())
    const environment = PLAIN_TEXT.test(name) ? text : html
    return new Promise((resolve, reject) => {
      environment.render(name, variables, (error, result) => {
        if (error !== null || result === null) reject(error ?? new Error(`Template ${name} gave nothing`))
        else resolve(result)
      })
    })
  }

  async #load(): Promise<{ html: Environment; text: Environment }> {
    const { default: nunjucks } = await import('nunjucks')
    const OPTIONS = { noCache: false, watch: false }
    /** Jinja says of an include whether it knows the variables; here it always does. Slices become a filter. */
    class JinjaLoader extends nunjucks.FileSystemLoader {
      override getSource(name: string): ReturnType<typeof nunjucks.FileSystemLoader.prototype.getSource> {
        const source = super.getSource(name)
        const src = source.src.replace(CONTEXT_OF_INCLUDE, '$1').replace(SLICE, '|python_slice("$1","$2")')
        return { ...source, src }
      }
    }
    const directories = [...this.#options.customDirectories, join(packageRoot(), 'templates')]
    const make = (autoescape: boolean): Environment => {
      const environment = new nunjucks.Environment(new JinjaLoader([...directories], OPTIONS), {
        autoescape,
        throwOnUndefined: false,
      })
      environment.addFilter('format_ts', formatTs)
      environment.addFilter('mxc_to_http', mxcToHttp(this.#options.publicBaseUrl))
      environment.addFilter('python_slice', pythonSlice)
      environment.addFilter('localpart_from_email', (address: unknown) => String(address).split('@')[0] ?? '')
      return environment
    }
    return { html: make(true), text: make(false) }
  }
}

/** The part from one position to before another, counted from the end where they are negative; empty: to the end. */
function pythonSlice(value: unknown, from: string, until: string): unknown {
  const parts = Array.isArray(value) ? (value as unknown[]) : Array.from(String(value))
  const slice = parts.slice(from === '' ? 0 : Number(from), until === '' ? undefined : Number(until))
  return Array.isArray(value) ? slice : slice.join('')
}

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday']
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
]

/** A time in milliseconds, with the placeholders of C's `strftime` that templates use, in the server's time zone. */
export function formatTs(ts: number, format: string): string {
  const date = new Date(ts)
  const hours = date.getHours()
  const values: Readonly<Record<string, string>> = {
    Y: String(date.getFullYear()),
    m: two(date.getMonth() + 1),
    d: two(date.getDate()),
    H: two(hours),
    I: two(hours % 12 === 0 ? 12 : hours % 12),
    M: two(date.getMinutes()),
    S: two(date.getSeconds()),
    p: hours < 12 ? 'AM' : 'PM',
    A: DAYS[date.getDay()] ?? '',
    a: DAYS[date.getDay()]?.slice(0, 3) ?? '',
    B: MONTHS[date.getMonth()] ?? '',
    b: MONTHS[date.getMonth()]?.slice(0, 3) ?? '',
    '%': '%',
  }
  return format.replace(/%([A-Za-z%])/g, (whole, name: string) => values[name] ?? whole)
}

function two(value: number): string {
  return String(value).padStart(2, '0')
}

/** The URL of a thumbnail of `mxc://` media; empty for what is none. */
function mxcToHttp(baseUrl: string) {
  return (mxc: unknown, width: number, height: number, method = 'crop'): string => {
    const parts = typeof mxc === 'string' ? /^mxc:\/\/([^/?#]+)\/([\w-]+)(#.*)?$/.exec(mxc) : null
    if (!parts) return ''
    const [, server = '', mediaId = '', fragment = ''] = parts
    const query = new URLSearchParams({ width: String(width), height: String(height), method })
    return `${baseUrl}_matrix/media/v1/thumbnail/${server}/${mediaId}?${query.toString()}${fragment}`
  }
}
