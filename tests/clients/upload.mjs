// Uploads a file with the unmodified tus-js-client, as one of its users would; the answer is a line of JSON.
// Arguments: endpoint, key, file, and options of the client as JSON; `abortAfterBytes` breaks off once and resumes.

import { createReadStream } from 'node:fs'
import { PassThrough } from 'node:stream'
import * as tus from 'tus-js-client'

const [endpoint, key, path, json] = process.argv.slice(2)
const { abortAfterBytes, deferLength, ...options } = JSON.parse(json)
const fileIds = []
const requests = []

function run(more) {
  return new Promise((resolve, reject) => {
    let aborted = false
    // A length is deferred for a stream that has none; of a file the client would announce more than it has.
    const source = deferLength ? createReadStream(path).pipe(new PassThrough()) : createReadStream(path)
    const upload = new tus.Upload(source, {
      endpoint,
      headers: { Authorization: `Bearer ${key}` },
      metadata: { filename: 'from-js.bin', filetype: 'application/octet-stream', tags: 'a,b' },
      retryDelays: [0, 200, 500, 1000],
      ...(deferLength ? { uploadLengthDeferred: true } : {}),
      ...options,
      ...more,
      onAfterResponse: (request, response) => {
        requests.push(`${request.getMethod()} ${response.getStatus()}`)
        const id = response.getHeader('X-File-Id')
        if (id) fileIds.push(id)
      },
      onProgress: (sent) => {
        if (abortAfterBytes && !more.uploadUrl && !aborted && sent > abortAfterBytes) {
          aborted = true
          upload.abort().then(() => resolve(upload.url))
        }
      },
      onError: reject,
      onSuccess: () => resolve(upload.url),
    })
    upload.start()
  })
}

try {
  const url = await run({})
  if (abortAfterBytes) await run({ uploadUrl: url })
  console.log(JSON.stringify({ fileId: fileIds.at(-1), url, requests }))
} catch (error) {
  console.error(String(error))
  process.exit(1)
}
