import { expect } from 'chai'
import type { JsonValue } from '../../src/util/json.js'
import type { ClientResponse, MatrixClient, RequestOptions } from './matrix-client.js'

/** A status, for errors together with the errcode. */
export type Expected = number | readonly [status: number, errcode: string]

/** Sends `METHOD /path` and checks how it is answered; gives the answer. */
export async function expectAnswer(
  client: MatrixClient,
  request: string,
  expected: Expected,
  options: RequestOptions = {},
): Promise<ClientResponse> {
  const [method = '', target = ''] = request.split(' ')
  const response = await client.request(method, target, options)
  const { status, body } = response
  const actual = typeof expected === 'number' ? status : [status, body['errcode']]
  expect(actual, `${request}: ${response.text.slice(0, 500)}`).to.deep.equal(expected)
  return response
}

/** One line for each request: who, what, how it is answered, and the body that it has. */
export type Line = readonly [
  client: MatrixClient,
  request: string,
  expected: Expected,
  body?: JsonValue | undefined,
]

export async function expectAnswers(lines: readonly Line[]): Promise<void> {
  for (const [client, request, expected, body] of lines)
    await expectAnswer(client, request, expected, body === undefined ? {} : { body })
}

/** A text of an answer. Throws where there is none. */
export function textIn({ body }: ClientResponse, key: string): string {
  const value = body[key]
  if (typeof value !== 'string') throw new Error(`There is no ${key}`)
  return value
}
