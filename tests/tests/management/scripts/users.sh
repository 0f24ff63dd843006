# Makes a user as provisioning scripts do, and looks at what is there then.
name=$1
password=$2

rabbitmqctl await_startup
rabbitmqctl add_user "$name" "$password"
rabbitmqctl set_user_tags "$name" administrator monitoring
rabbitmqctl set_permissions -p / "$name" ".*" ".*" ".*"
rabbitmqctl authenticate_user "$name" "$password"

# Tabs between columns, tags in brackets.
rabbitmqctl -q list_users | grep "^$name	\[administrator, monitoring\]\$"
rabbitmqctl -q list_permissions -p / | grep "^$name	\.\*	\.\*	\.\*\$"

# Provisioning runs again and again: a user that is there is told from other mistakes.
if rabbitmqctl add_user "$name" "$password" 2> /dev/null; then
    echo "the user was made twice" >&2
    exit 1
else
    test $? -eq 70
fi
