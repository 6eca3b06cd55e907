import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface CasPerson {
  readonly name: string
  /** As elements of XML without prefix. */
  readonly attributes?: Readonly<Record<string, string>>
}

/** A CAS server where whoever comes is the person that the test says. Tickets are good once, for one service URL. */
export class FakeCasServer implements AsyncDisposable {
  readonly #server: Server
  readonly #tickets = new Map<string, { readonly service: string; readonly person: CasPerson }>()
  #issued = 0
  person: CasPerson = { name: 'alice' }
  /** Instead of the answer to a validation. */
  answer: ((response: ServerResponse) => void) | undefined
  /** The paths of validations, in order. */
  readonly validations: string[] = []

  private constructor(server: Server) {
    this.#server = server
  }

  static async start(): Promise<FakeCasServer> {
    const server = createServer()
    const cas = new FakeCasServer(server)
    server.on('request', ({ url = '/' }, response: ServerResponse) => {
      cas.#respond(new URL(url, 'http://cas.test'), response)
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return cas
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/cas`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #respond({ pathname, searchParams }: URL, response: ServerResponse): void {
    const service = searchParams.get('service') ?? ''
    if (pathname === '/cas/login') {
      const ticket = `ST-${++this.#issued}`
      this.#tickets.set(ticket, { service, person: this.person })
      const back = new URL(service)
      back.searchParams.set('ticket', ticket)
      response.writeHead(302, { Location: back.href }).end()
      return
    }
    this.validations.push(pathname)
    if (this.answer !== undefined) {
      this.answer(response)
      return
    }
    const ticket = searchParams.get('ticket') ?? ''
    const known = this.#tickets.get(ticket)
    this.#tickets.delete(ticket)
    const isGood = known?.service === service
    response.writeHead(200, { 'Content-Type': 'application/xml' })
    response.end(isGood ? successOf(known.person) : FAILURE)
  }
}

const FAILURE = casAnswer(
  '<cas:authenticationFailure code="INVALID_TICKET">Not known</cas:authenticationFailure>',
)

/** An answer of a CAS server with this in it. */
export function casAnswer(content: string): string {
  return `<cas:serviceResponse xmlns:cas="http://www.yale.edu/tp/cas">\n  ${content}\n</cas:serviceResponse>`
}

function successOf({ name, attributes = {} }: CasPerson): string {
  const listed = Object.entries(attributes).map(
    ([key, value]) => `<cas:${key}>${escapeXml(value)}</cas:${key}>`,
  )
  return casAnswer(
    `<cas:authenticationSuccess><cas:user>${escapeXml(name)}</cas:user>` +
      `<cas:attributes>${listed.join('')}</cas:attributes></cas:authenticationSuccess>`,
  )
}

function escapeXml(text: string): string {
  return text.replace(/[&<>]/g, (character) => `&#${character.charCodeAt(0)};`)
}
