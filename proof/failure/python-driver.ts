/**
 * A client made with python3-etcd3, as text: the built program has no other files. Called with host and port; reads a
 * request a line (drivers.ts) and answers each with a line of JSON.
 */
export const PYTHON_DRIVER = `
import json
import sys

import etcd3
import grpc

HOST, PORT = sys.argv[1:3]


def connect():
    return etcd3.client(host=HOST, port=int(PORT), timeout=3)


def answer(client, kind, key, *rest):
    if kind == "put":
        return {"revision": client.put(key, rest[0]).header.revision, "applied": True}
    if kind == "get":
        response = client.get_response(key)
        line = {"revision": response.header.revision}
        for kv in response.kvs:
            line.update(value=kv.value.decode(), modRevision=kv.mod_revision)
        return line
    if kind == "delete":
        response = client.delete(key, return_response=True)
        return {"revision": response.header.revision, "applied": response.deleted > 0}
    # Its transaction() does not give the header.
    request = etcd3.etcdrpc.TxnRequest(
        compare=[(client.transactions.mod(key) == int(rest[0])).build_message()],
        success=client._ops_to_requests([client.transactions.put(key, rest[1])]),
    )
    response = client.kvstub.Txn(request, client.timeout)
    return {"revision": response.header.revision, "applied": response.succeeded}


client = connect()
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    try:
        said = answer(client, *line.split())
    except (grpc.RpcError, etcd3.exceptions.Etcd3Exception) as error:
        details = error.details() if hasattr(error, "details") else type(error).__name__
        said = {"error": details or type(error).__name__}
        # Its channel waits for up to two minutes before it connects again.
        client.close()
        client = connect()
    print(json.dumps(said), flush=True)
`;
