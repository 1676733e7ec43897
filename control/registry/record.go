package registry

import (
	"encoding/json"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// get reads one record, nil when there is none.
func get[T any](tx *bolt.Tx, bucket []byte, key []byte) (*T, error) {
	b := tx.Bucket(bucket).Get(key)
	if b == nil {
		return nil, nil
	}
	v := new(T)
	if err := json.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("damaged record in %s: %w", bucket, err)
	}
	return v, nil
}

func put(tx *bolt.Tx, bucket []byte, key []byte, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return tx.Bucket(bucket).Put(key, b)
}

// each reads every record of a bucket.
func each[T any](tx *bolt.Tx, bucket []byte, f func(*T) error) error {
	return tx.Bucket(bucket).ForEach(func(_, b []byte) error {
		v := new(T)
		if err := json.Unmarshal(b, v); err != nil {
			return fmt.Errorf("damaged record in %s: %w", bucket, err)
		}
		return f(v)
	})
}
