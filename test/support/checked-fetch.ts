import { checkResponse } from './response-schemas.js'

/**
 * As `fetch`, for libraries that speak to a server themselves: answers of another shape than the specification says fail,
 * and are told of where whoever runs the tests sees it, since libraries keep such errors to themselves.
 */
export async function checkedFetch(...request: Parameters<typeof fetch>): Promise<Response> {
  const response = await fetch(...request)
  const [input, init] = request
  const { status, headers } = response
  const text = await response.clone().text()
  const url = input instanceof Request ? input.url : String(input)
  const method = init?.method ?? (input instanceof Request ? input.method : 'GET')
  try {
    const contentType = headers.get('content-type')
    checkResponse({ method, path: new URL(url).pathname, status, contentType, text })
  } catch (error) {
    process.stderr.write(`${String(error)}\n`)
    throw error
  }
  return response
}
