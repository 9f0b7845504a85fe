const same = (bytes: Buffer): Buffer => bytes
// Messages stay bytes here: a codec that threw inside grpc-js would end the stream before anybody hears of it.
const method = (name: string, responseStream: boolean) => ({
  path: `/flagd.sync.v1.FlagSyncService/${name}`,
  requestStream: false,
  responseStream,
  requestSerialize: same,
  requestDeserialize: same,
  responseSerialize: same,
  responseDeserialize: same,
})

/** The definition of flagd.sync.v1.FlagSyncService, messages as bytes. */
export const SYNC_SERVICE = {
  SyncFlags: method('SyncFlags', true),
  FetchAllFlags: method('FetchAllFlags', false),
  GetMetadata: method('GetMetadata', false),
}

/** The header that says which flags are wanted; it goes before the field of the message. */
export const SELECTOR_HEADER = 'flagd-selector'
