# Prints how many messages a queue has, as monitoring scripts ask.
queue=$1

table=$(rabbitmqctl list_queues name messages | awk -v queue="$queue" '$1 == queue { print $2 }')
bare=$(rabbitmqctl -q list_queues --no-table-headers -p / messages name | grep "	$queue\$" | cut -f 1)
silent=$(rabbitmqctl list_queues -s name messages_ready messages_unacknowledged |
    awk -v queue="$queue" '$1 == queue { print $2 + $3 }')
json=$(rabbitmqctl list_queues name messages --formatter json | tr -d ' \n' |
    sed -n "s/.*\"messages\":\([0-9]*\),\"name\":\"$queue\".*/\1/p; s/.*\"name\":\"$queue\",\"messages\":\([0-9]*\).*/\1/p")

for other in "$bare" "$silent" "$json"; do
    if [ "$other" != "$table" ]; then
        echo "$table in the table, and elsewhere $bare, $silent, $json" >&2
        exit 1
    fi
done
echo "$table"
